-- Reading the log with the snapshot cursor.

-- name: load_cursor
select seen::text, seen_floor, horizon::text, horizon_floor, last_id, first_id from jobhooks.cursor

-- name: log_floor
-- The greatest id handed out so far.
select case when is_called then last_value else 0 end from jobhooks.object_change_id_seq

-- name: end_a_transaction
-- By itself: takes a transaction id, which has ended when this returns. Nothing is written, and no disk is waited for.
select pg_current_xact_id()

-- name: current_snapshot
select pg_current_snapshot()::text

-- name: read_page
-- The next changes of the window: visible in the horizon ($2) and not in the seen snapshot ($1), in order of id, after
-- the position ($4), at most $5. Two kinds, on either side of the seen snapshot's floor ($3):
--   up to it, only stragglers: transactions that were in progress in the seen snapshot; each is found by its id;
--   above it, everything, by the id of the change.
-- Both are index scans that end after a page. They are written so that no other index could serve, whatever the planner
-- knows of the log: the first by comparing rows, the second with a condition that is in no index.
with page as (
    (
        select straggling_change.*
        from pg_snapshot_xip($1::text::pg_snapshot) as straggler (transaction_id)
        cross join lateral (
            select *
            from jobhooks.object_change as change
            where
                (change.transaction_id, change.id) > (straggler.transaction_id, $4::bigint)
                and (change.transaction_id, change.id) <= (straggler.transaction_id, $3::bigint)
                and change.triggering
            order by change.transaction_id, change.id
            limit $5::integer
        ) as straggling_change
        where pg_visible_in_snapshot(straggler.transaction_id, $2::text::pg_snapshot)
    )
    union all
    (
        select *
        from jobhooks.object_change as change
        where
            change.id > greatest($3::bigint, $4::bigint)
            and pg_visible_in_snapshot(change.transaction_id, $2::text::pg_snapshot)
            and not pg_visible_in_snapshot(change.transaction_id, $1::text::pg_snapshot)
            and change.triggering
        order by change.id
        limit $5::integer
    )
)
select
    id, transaction_id::text::bigint as transaction_id, time, content_type_id, action::text as action,
    coalesce(context ->> 'user_name', session_role) as user_name, context ->> 'request_id' as request_id,
    prechange::text as prechange, postchange::text as postchange, (context -> 'object_key')::text as object_key,
    context ->> 'snapshot_error' as snapshot_error, context ->> 'partition' as partition
from page
order by id
limit $5::integer

-- name: save_cursor
update jobhooks.cursor
set seen = $1::text::pg_snapshot,
    seen_floor = $2,
    horizon = $3::text::pg_snapshot,
    horizon_floor = $4,
    last_id = $5,
    saved_at = clock_timestamp()

-- name: content_types
select
    content_type.id, coalesce(jobhooks.table_name(content_type.relation), content_type.name) as name,
    namespace.nspname as schema, class.relname as table, content_type.key_columns, content_type.ignore,
    array(
        select coalesce(format_type(attribute.atttypid, attribute.atttypmod), 'text')
        from unnest(content_type.key_columns) with ordinality as key (name, position)
        left join pg_attribute as attribute
            on attribute.attrelid = content_type.relation and attribute.attname = key.name and not attisdropped
        order by key.position
    ) as key_types
from jobhooks.content_type as content_type
left join pg_class as class on class.oid = content_type.relation
left join pg_namespace as namespace on namespace.oid = class.relnamespace

-- name: active_hooks
-- Those whose job is not installed, too: their deliveries fail and are kept as debts.
select
    hook.id, hook.name, job.class_path, hook.events::text [] as events, hook.enabled_since::text as enabled_since,
    array(
        select content_type_id from jobhooks.job_hook_content_type where job_hook_id = hook.id
    ) as content_type_ids
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
where hook.enabled and job.enabled
order by hook.id

-- name: settled_deliveries
-- Which of these deliveries (changes $1, hooks $2) have been settled or parked.
select result.change_id, result.hook_id
from jobhooks.job_result as result
where result.change_id = any($1::bigint []) and result.hook_id = any($2::integer [])
union
select delivery.change_id, delivery.hook_id
from jobhooks.delivery as delivery
where delivery.change_id = any($1::bigint []) and delivery.hook_id = any($2::integer [])
