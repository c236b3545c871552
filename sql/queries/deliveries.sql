-- Debts as the command line lists, shows, retries and discards them, and settled changes that are delivered again.

-- name: hook_called
select
    hook.id, hook.name, hook.job_id, job.class_path, hook.events::text [], hook.enabled_since::text,
    array(select content_type_id from jobhooks.job_hook_content_type where job_hook_id = hook.id),
    hook.enabled and job.installed and job.enabled, job.order_by, job.order_columns, hook.columns, hook.conditions
from jobhooks.job_hook as hook
join jobhooks.jobs as job on job.id = hook.job_id
where hook.name = $1

-- name: pending_delivery_keys
-- Of the changes $1, the hooks $2, the content types $3, the status $4, by the change's time from $5 to $6, and with $7 in the
-- last attempt's error, as far as given; at most $8, the newest.
select delivery.change_id, delivery.hook_id, delivery.status
from jobhooks.delivery as delivery
where ($1::bigint [] is null or delivery.change_id = any ($1::bigint []))
    and ($2::integer [] is null or delivery.hook_id = any ($2::integer []))
    and ($3::integer [] is null or delivery.content_type_id = any ($3::integer []))
    and ($4::text is null or delivery.status = $4::text)
    and (
        ($5::timestamptz is null and $6::timestamptz is null)
        or exists (
            select from jobhooks.object_change as change
            where change.id = delivery.change_id
                and ($5::timestamptz is null or change.time >= $5::timestamptz)
                and ($6::timestamptz is null or change.time < $6::timestamptz)
        )
    )
    and (
        $7::text is null
        or strpos(
            lower(
                (
                    select result.error
                    from jobhooks.job_result as result
                    where result.change_id = delivery.change_id and result.hook_id = delivery.hook_id
                    order by result.attempt desc
                    limit 1
                )
            ),
            lower($7::text)
        ) > 0
    )
order by delivery.change_id desc, delivery.hook_id desc
limit $8::integer

-- name: deliveries_by_identity
-- Those of the changes $1 and the hooks $2, element by element. A hook, and even a change, may be gone.
select
    delivery.change_id, hook.name, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
    change.action::text, change.time, delivery.status, delivery.attempts, delivery.failures, delivery.due_at,
    extract(epoch from delivery.due_at - clock_timestamp())::double precision, last.error, delivery.parked_at
from unnest($1::bigint [], $2::integer []) as chosen (change_id, hook_id)
join jobhooks.delivery as delivery on delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
left join jobhooks.object_change as change on change.id = delivery.change_id
left join jobhooks.content_type as content_type on content_type.id = delivery.content_type_id
left join jobhooks.job_hook as hook on hook.id = delivery.hook_id
left join lateral (
    select result.error
    from jobhooks.job_result as result
    where result.change_id = delivery.change_id and result.hook_id = delivery.hook_id
    order by result.attempt desc
    limit 1
) as last on true
order by delivery.change_id, delivery.hook_id

-- name: blocker_of_delivery
-- The oldest debt that this one (change $1, hook $2) waits for, and how many there are; by the same rules as unblock.
select older.change_id, older.status, count(*) over ()
from jobhooks.delivery as delivery
join jobhooks.delivery as older
    on older.hook_id = delivery.hook_id and older.blocks and older.change_id < delivery.change_id
    and (
        older.lane in (delivery.lane, delivery.other_lane)
        or older.other_lane in (delivery.lane, delivery.other_lane)
        or older.content_type_id = delivery.content_type_id and (older.lane is null or delivery.lane is null)
    )
where delivery.change_id = $1 and delivery.hook_id = $2 and delivery.status = 'blocked'
order by older.change_id
limit 1

-- name: retry_deliveries
select jobhooks.retry_deliveries($1, $2)

-- name: discard_deliveries
select jobhooks.discard_deliveries($1, $2, $3)

-- name: replayable_changes
-- The changes that the hook ($1) is for and that can be delivered to it again: between the ids $2 and $3; of the content types
-- $4, the changes $5, the time from $6 to $7, as far as given; in order of id, at most $8.
-- Not what is owed, nor what the daemon has yet to read or has in hand: so only what has a result, or happened before the
-- hook was enabled, or is behind the cursor. None of these can become untrue.
select change.id
from jobhooks.job_hook as hook
cross join jobhooks.cursor as cursor
cross join jobhooks.object_change as change
where hook.id = $1
    and change.id between $2::bigint and $3::bigint
    and change.triggering
    and change.action = any (hook.events)
    and change.content_type_id in (select content_type_id from jobhooks.job_hook_content_type where job_hook_id = $1)
    and ($4::integer [] is null or change.content_type_id = any ($4::integer []))
    and ($5::bigint [] is null or change.id = any ($5::bigint []))
    and ($6::timestamptz is null or change.time >= $6::timestamptz)
    and ($7::timestamptz is null or change.time < $7::timestamptz)
    and (
        change.id <= cursor.first_id
        or pg_visible_in_snapshot(change.transaction_id, hook.enabled_since)
        or pg_visible_in_snapshot(change.transaction_id, cursor.seen)
        or (change.id <= cursor.last_id and pg_visible_in_snapshot(change.transaction_id, cursor.horizon))
        or exists (select from jobhooks.job_result as result where result.change_id = change.id and result.hook_id = $1)
    )
    and not exists (
        select from jobhooks.delivery as delivery where delivery.change_id = change.id and delivery.hook_id = $1
    )
order by change.id
limit $8::integer

-- name: logged_changes
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where change.id = any ($1::bigint [])
order by change.id

-- name: park_again
select jobhooks.park_again($1::text::json)
