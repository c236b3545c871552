-- Pending deliveries, as the command line lists, shows, retries and discards them, and settled changes that are replayed.

-- name: hook_called
select id, job_id, content_type_ids, enabled_since, queue_limit, runs, settings, limits, child_ids, refusal
from jobhooks.loaded_hooks
where name = :name

-- name: pending_delivery_keys
-- The newest first. A filter that is null does not apply. :since and :until compare with the change's time, :error with the last
-- attempt's error.
select
    delivery.change_id, delivery.hook_id, delivery.status, delivery.state, delivery.behind, delivery.attempts, delivery.due_at,
    delivery.waits_for
from jobhooks.delivery_states(:hook_ids::integer []) as delivery
where (:change_ids::bigint [] is null or delivery.change_id = any (:change_ids::bigint []))
    and (:content_type_ids::integer [] is null or delivery.content_type_id = any (:content_type_ids::integer []))
    and (:status::text is null or delivery.status = :status::text)
    and (:states::text [] is null or delivery.state = any (:states::text []))
    and (
        (:since::timestamptz is null and :until::timestamptz is null)
        or exists (
            select from jobhooks.object_change as change
            where change.id = delivery.change_id
                and (:since::timestamptz is null or change.time >= :since::timestamptz)
                and (:until::timestamptz is null or change.time < :until::timestamptz)
        )
    )
    and (
        :error::text is null
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
            lower(:error::text)
        ) > 0
    )
order by delivery.change_id desc, delivery.hook_id desc
limit :limit::integer

-- name: deliveries_by_identity
-- The arrays pair up element by element: what follows from other rows is as pending_delivery_keys found it, unless the delivery
-- died since. A hook, and even a change, may be gone.
-- The last columns: the key of the change's own row; its table, if that is a child of the delivery's; and the delivery's table.
select
    delivery.change_id, hook.name, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
    change.action::text, change.time, now.status, delivery.attempts, delivery.failures, now.due_at,
    extract(epoch from now.due_at - clock_timestamp())::double precision, last.error, delivery.parked_at,
    now.state, chosen.behind, now.waits_for, running.started_at,
    extract(epoch from clock_timestamp() - running.started_at)::double precision, running.host, running.pid,
    running.worker_pid, running.cancelled, jobhooks.version_text(running.version), own.key_columns, (change.context -> 'object_key')::text,
    coalesce(change.postchange, change.prechange)::text,
    case when change.content_type_id <> delivery.content_type_id then coalesce(jobhooks.table_name(own.relation), own.name) end,
    delivery.content_type_id
from unnest(
    :change_ids::bigint [], :hook_ids::integer [], :statuses::text [], :states::text [], :behind::bigint [],
    :due_at::timestamptz [], :waits_for::text []
) as chosen (change_id, hook_id, status, state, behind, due_at, waits_for)
join jobhooks.delivery as delivery on delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
cross join lateral (
    select
        case delivery.status when 'dead' then 'dead' else chosen.status end as status,
        case delivery.status when 'dead' then 'dead' else chosen.state end as state,
        case when delivery.status <> 'dead' and chosen.state in ('waiting', 'retrying', 'paused') then chosen.due_at end as due_at,
        case when delivery.status <> 'dead' then chosen.waits_for end as waits_for
) as now
left join jobhooks.running_delivery as running
    on running.change_id = delivery.change_id and running.hook_id = delivery.hook_id
    and running.attempt = delivery.attempts + 1 and now.state in ('running', 'interrupted')
left join jobhooks.object_change as change on change.id = delivery.change_id
left join jobhooks.content_type as content_type on content_type.id = delivery.content_type_id
left join jobhooks.content_type as own on own.id = change.content_type_id
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
-- The oldest delivery that this one waits for, and how many there are; by the rules of delivery_states.
with pending as materialized (
    select * from jobhooks.delivery_states(array[:hook_id::integer])
)
select older.change_id, older.status, count(*) over ()
from pending as delivery
join pending as older
    on older.blocks and older.change_id < delivery.change_id
    and (
        older.lane in (delivery.lane, delivery.other_lane)
        or older.other_lane in (delivery.lane, delivery.other_lane)
        or older.content_type_id = delivery.content_type_id and (older.lane is null or delivery.lane is null)
    )
where delivery.change_id = :change_id and delivery.status = 'blocked'
order by older.change_id
limit 1

-- name: retry_deliveries
select jobhooks.retry_deliveries(:change_ids, :hook_ids)

-- name: discard_deliveries
select jobhooks.discard_deliveries(:change_ids, :hook_ids, :reason)

-- name: cancel_deliveries
select jobhooks.cancel_deliveries(:change_ids, :hook_ids, :reason)

-- name: ends_of_runs
-- How many of these attempts still run, and how many have ended by themselves. The arrays pair up element by element.
select
    count(running.change_id),
    count(result.change_id) filter (where result.status <> 'failure' or result.error not like 'Cancelled: by %')
from unnest(:change_ids::bigint [], :hook_ids::integer [], :attempts::integer []) as chosen (change_id, hook_id, attempt)
left join jobhooks.running_delivery as running
    on running.change_id = chosen.change_id and running.hook_id = chosen.hook_id and running.attempt = chosen.attempt
left join jobhooks.job_result as result
    on result.change_id = chosen.change_id and result.hook_id = chosen.hook_id and result.attempt = chosen.attempt

-- name: lines_of_run
-- The log lines of a run so far, from the line :first on.
select entry.time, entry.level, entry.object, entry.message, entry.grouping, entry.source
from jobhooks.running_log_entry as entry
where entry.change_id = :change_id and entry.hook_id = :hook_id and entry.line >= :first::integer
order by entry.line

-- name: replayable_changes
-- The changes that the hook is for and that can be delivered to it again, ordered by id. A filter that is null does not apply.
-- Leaves out pending deliveries and changes that the daemon has not read yet or is delivering: a change must have a result, be
-- older than the hook, or lie before the position where the hook reads: its own, or else the cursor. Once true, each of these stays
-- true.
select change.id
from jobhooks.job_hook as hook
cross join jobhooks.cursor as cursor
left join jobhooks.hook_position as own on own.hook_id = hook.id
cross join jobhooks.object_change as change
where hook.id = :hook_id
    and change.id between :first_id::bigint and :last_id::bigint
    and (change.triggering or hook.chain_depth > 0 and jobhooks.depth_of(false, change.context) <= hook.chain_depth)
    and (
        change.action = any (hook.events)
        and change.content_type_id in (select content_type_id from jobhooks.job_hook_content_type where job_hook_id = :hook_id)
        or change.action <> 'truncate' and change.content_type_id = any (jobhooks.children_of_hook(:hook_id))
    )
    and (:content_type_ids::integer [] is null or change.content_type_id = any (:content_type_ids::integer []))
    and (:change_ids::bigint [] is null or change.id = any (:change_ids::bigint []))
    and (:since::timestamptz is null or change.time >= :since::timestamptz)
    and (:until::timestamptz is null or change.time < :until::timestamptz)
    and (
        change.id <= cursor.first_id
        or pg_visible_in_snapshot(change.transaction_id, hook.enabled_since)
        or pg_visible_in_snapshot(change.transaction_id, coalesce(own.seen, cursor.seen))
        or (
            change.id <= coalesce(own.last_id, cursor.last_id)
            and pg_visible_in_snapshot(change.transaction_id, coalesce(own.horizon, cursor.horizon))
        )
        or exists (select from jobhooks.job_result as result where result.change_id = change.id and result.hook_id = :hook_id)
    )
    and not exists (
        select from jobhooks.delivery as delivery where delivery.change_id = change.id and delivery.hook_id = :hook_id
    )
order by change.id
limit :limit::integer

-- name: logged_changes
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where change.id = any (:ids::bigint [])
order by change.id

-- name: requeue
select jobhooks.requeue(:deliveries::text::json)
