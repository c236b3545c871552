-- The log as the command line lists, shows and follows it. First the ids of the changes that are asked for, then these.

-- name: content_types_called
select id
from jobhooks.content_type
where coalesce(jobhooks.table_name(relation), name) = $1::text
    or name = $1::text
    or coalesce(jobhooks.table_name(relation), name) = 'public.' || $1::text

-- name: server_time
select clock_timestamp()

-- name: log_ends
-- The lowest and the highest id; null where the log is empty.
select
    (select id from jobhooks.object_change order by id limit 1),
    (select id from jobhooks.object_change order by id desc limit 1)

-- name: first_change_from
select id, time from jobhooks.object_change where id >= $1 order by id limit 1

-- name: newest_change_ids
-- Between the ids $1 and $2; of the content types $3, the actions $4, the user $5, the time from $6 to $7, as far as given;
-- visible in the snapshot $8, if given; at most $9.
select change.id
from jobhooks.object_change as change
where change.id between $1::bigint and $2::bigint
    and ($3::integer [] is null or change.content_type_id = any ($3::integer []))
    and ($4::text [] is null or change.action::text = any ($4::text []))
    and ($5::text is null or coalesce(change.context ->> 'user_name', change.session_role) = $5::text)
    and ($6::timestamptz is null or change.time >= $6::timestamptz)
    and ($7::timestamptz is null or change.time < $7::timestamptz)
    and ($8::text is null or pg_visible_in_snapshot(change.transaction_id, $8::text::pg_snapshot))
order by change.id desc
limit $9::integer

-- name: prefer_indexes
-- For the next one, which must not read the whole log whatever the planner knows of it.
select set_config('enable_seqscan', 'off', false)

-- name: new_change_ids
-- Visible in the snapshot $2 and not in $1: of transactions that had not begun, or were in progress, in $1. In order of
-- id, after the id $3, at most $4; of the content types $5, the actions $6 and the user $7, as far as given.
with new as materialized (
    select change.id, change.transaction_id, change.content_type_id, change.action, change.context, change.session_role
    from jobhooks.object_change as change
    where change.transaction_id >= pg_snapshot_xmax($1::text::pg_snapshot)
        and change.transaction_id < pg_snapshot_xmax($2::text::pg_snapshot)
    union all
    select change.id, change.transaction_id, change.content_type_id, change.action, change.context, change.session_role
    from pg_snapshot_xip($1::text::pg_snapshot) as straggler (transaction_id)
    join jobhooks.object_change as change on change.transaction_id = straggler.transaction_id
)

select new.id
from new
where new.id > $3::bigint
    and pg_visible_in_snapshot(new.transaction_id, $2::text::pg_snapshot)
    and ($5::integer [] is null or new.content_type_id = any ($5::integer []))
    and ($6::text [] is null or new.action::text = any ($6::text []))
    and ($7::text is null or coalesce(new.context ->> 'user_name', new.session_role) = $7::text)
order by new.id
limit $4::integer

-- name: changes_by_id
-- The rows whole: the functions that tell how they differ fail on json that holds what no text can.
select
    change.id, change.time, coalesce(jobhooks.table_name(content_type.relation), content_type.name), change.action::text,
    coalesce(change.context ->> 'user_name', change.session_role), change.context ->> 'request_id', change.triggering,
    content_type.key_columns, content_type.ignore, (change.context -> 'object_key')::text,
    change.prechange::text, change.postchange::text
from jobhooks.object_change as change
join jobhooks.content_type as content_type on content_type.id = change.content_type_id
where change.id = any ($1::bigint [])
order by change.id

-- name: change_details
select
    change.transaction_id::text::bigint, change.session_role,
    (
        select json_build_object(
            'change', (cause ->> 'change')::bigint, 'hook', hook.name, 'attempt', (cause ->> 'attempt')::integer
        )::text
        from (values (change.context -> 'caused_by')) as caused (cause)
        left join jobhooks.job_hook as hook on hook.id = (cause ->> 'hook')::integer
        where cause is not null
    ),
    change.context ->> 'refused_mark', change.context ->> 'snapshot_error', change.context ->> 'partition'
from jobhooks.object_change as change
where change.id = $1

-- name: current_snapshot
select pg_current_snapshot()::text
