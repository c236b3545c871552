-- The log as the command line lists, shows and follows it. First the ids of the chosen changes, then their rows.

-- name: content_types_called
-- By the name of now or then, also of dropped tables.
select id
from jobhooks.content_type
where coalesce(jobhooks.table_name(relation), name) = any (:names::text [])
    or name = any (:names::text [])
    or coalesce(jobhooks.table_name(relation), name) = 'public.' || (:names::text [])[1]

-- name: server_time
select clock_timestamp()

-- name: log_ends
-- The lowest and the highest id; null where the log is empty.
select
    (select id from jobhooks.object_change order by id limit 1),
    (select id from jobhooks.object_change order by id desc limit 1)

-- name: first_change_from
select id, time from jobhooks.object_change where id >= :id order by id limit 1

-- name: newest_change_ids
-- A filter that is null does not apply.
select change.id
from jobhooks.object_change as change
where change.id between :first_id::bigint and :last_id::bigint
    and (:content_type_ids::integer [] is null or change.content_type_id = any (:content_type_ids::integer []))
    and (:actions::text [] is null or change.action::text = any (:actions::text []))
    and (:user::text is null or coalesce(change.context ->> 'user_name', change.session_role) = :user::text)
    and (:request::text is null or change.context ->> 'request_id' = :request::text)
    and (:transaction_id::bigint is null or change.transaction_id = :transaction_id::bigint::text::xid8)
    and (:since::timestamptz is null or change.time >= :since::timestamptz)
    and (:until::timestamptz is null or change.time < :until::timestamptz)
    and (:snapshot::text is null or pg_visible_in_snapshot(change.transaction_id, :snapshot::text::pg_snapshot))
order by change.id desc
limit :limit::integer

-- name: prefer_indexes
-- For the next query, which must not read the whole log for any state of the planner's statistics.
select set_config('enable_seqscan', 'off', false)

-- name: new_change_ids
-- Visible in the snapshot :horizon but not in :seen, that is, written by transactions that had not begun or were in progress in
-- :seen. Ordered by id. A filter that is null does not apply.
with new as materialized (
    select change.id, change.transaction_id, change.content_type_id, change.action, change.context, change.session_role
    from jobhooks.object_change as change
    where change.transaction_id >= pg_snapshot_xmax(:seen::text::pg_snapshot)
        and change.transaction_id < pg_snapshot_xmax(:horizon::text::pg_snapshot)
    union all
    select change.id, change.transaction_id, change.content_type_id, change.action, change.context, change.session_role
    from pg_snapshot_xip(:seen::text::pg_snapshot) as straggler (transaction_id)
    join jobhooks.object_change as change on change.transaction_id = straggler.transaction_id
)

select new.id
from new
where new.id > :after_id::bigint
    and pg_visible_in_snapshot(new.transaction_id, :horizon::text::pg_snapshot)
    and (:content_type_ids::integer [] is null or new.content_type_id = any (:content_type_ids::integer []))
    and (:actions::text [] is null or new.action::text = any (:actions::text []))
    and (:user::text is null or coalesce(new.context ->> 'user_name', new.session_role) = :user::text)
    and (:request::text is null or new.context ->> 'request_id' = :request::text)
order by new.id
limit :limit::integer

-- name: changes_by_id
-- Whole rows: the functions that compute differences fail on json with text that PostgreSQL cannot represent.
select
    change.id, change.time, coalesce(jobhooks.table_name(content_type.relation), content_type.name), change.action::text,
    coalesce(change.context ->> 'user_name', change.session_role), change.context ->> 'request_id', change.context ->> 'message',
    change.triggering, content_type.key_columns, content_type.ignore, (change.context -> 'object_key')::text,
    change.prechange::text, change.postchange::text
from jobhooks.object_change as change
join jobhooks.content_type as content_type on content_type.id = change.content_type_id
where change.id = any (:ids::bigint [])
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
    change.context ->> 'refused_mark', change.context ->> 'snapshot_error', change.context ->> 'partition',
    jobhooks.depth_of(change.triggering, change.context)
from jobhooks.object_change as change
where change.id = :id

-- name: current_snapshot
select pg_current_snapshot()::text
