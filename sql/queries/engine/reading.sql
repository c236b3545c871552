-- Reading the log with the snapshot cursor.

-- name: load_cursor
select seen::text, seen_floor, horizon::text, horizon_floor, last_id, first_id from jobhooks.cursor

-- name: log_position
-- Cheap check for new changes: the greatest id handed out so far, and which transactions have ended.
select coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0), pg_current_snapshot()::text

-- name: begin_window
-- The greatest id handed out so far, and then a transaction id; as a separate statement, so that this transaction has ended
-- when it returns. It writes nothing and waits for no disk. It does not read the sequence as a table: once in 32 ids, for the
-- moment in which the WAL is written, the table shows an id that is 32 ahead. Changes between the two would lie below the
-- low-water id and in no snapshot by name, so they would never be read. The function waits until that moment has passed.
with floor as materialized (
    select coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) as id
)
select floor.id, pg_current_xact_id() from floor

-- name: read_page
-- The next changes of the window: visible in :horizon (null: a new snapshot) and not in :seen, ordered by id, about :max_bytes at
-- most. Two kinds, on either side of the low-water id of the seen snapshot (:seen_low_water_id):
--   up to it, only stragglers: transactions that were in progress in the seen snapshot; each is found by its id;
--   above it, everything, by the id of the change.
-- Both are index scans that end after a page. They are written so that no other index can serve, for any state of the planner's
-- statistics: the first compares rows, the second has a condition that is in no index.
-- Receivers' writes are read only if a hook has a chain_depth: the other hooks are not for it. That is looked up in the same
-- snapshot, and not before the first such change.
-- Only changes up to :last_id, and of the tables in :content_type_ids (null: all). Returns at least one row: each has the horizon, and the version of the configuration, which changes with hooks, jobs and
-- watched tables, including their names.
with horizon as materialized (
    select coalesce(:horizon::text::pg_snapshot, pg_current_snapshot()) as snapshot
),
chain as materialized (
    select exists (select from jobhooks.job_hook where enabled and chain_depth > 0) as exist
),
page as (
    (
        select straggling_change.*
        from pg_snapshot_xip(:seen::text::pg_snapshot) as straggler (transaction_id)
        cross join lateral (
            select *
            from jobhooks.object_change as change
            where
                (change.transaction_id, change.id) > (straggler.transaction_id, :after_id::bigint)
                and (change.transaction_id, change.id)
                <= (straggler.transaction_id, least(:seen_low_water_id::bigint, :last_id::bigint))
                and (change.triggering or (select exist from chain) and jobhooks.depth_of(false, change.context) is not null)
                and coalesce(change.content_type_id = any (:content_type_ids::integer []), true)
            order by change.transaction_id, change.id
            limit :limit::integer
        ) as straggling_change
        where pg_visible_in_snapshot(straggler.transaction_id, (select snapshot from horizon))
    )
    union all
    (
        select *
        from jobhooks.object_change as change
        where
            change.id > greatest(:seen_low_water_id::bigint, :after_id::bigint)
            and pg_visible_in_snapshot(change.transaction_id, (select snapshot from horizon))
            and not pg_visible_in_snapshot(change.transaction_id, :seen::text::pg_snapshot)
            and (change.triggering or (select exist from chain) and jobhooks.depth_of(false, change.context) is not null)
            and change.id <= :last_id::bigint
            and coalesce(change.content_type_id = any (:content_type_ids::integer []), true)
        order by change.id
        limit :limit::integer
    )
),
configuration as materialized (
    select jobhooks.configuration_version() as version
),
-- The size of a row on disk is known without reading it, and is less than its size here: so rows that are certainly too
-- large are skipped before the rest is measured.
weighed as (
    select
        page.*, count(*) over () as found,
        sum(coalesce(pg_column_size(prechange), 0) + coalesce(pg_column_size(postchange), 0)) over (
            order by id rows between unbounded preceding and 1 preceding
        ) as stored_before
    from page
),
counted as (
    select
        weighed.*,
        sum(coalesce(octet_length(prechange::text), 0) + coalesce(octet_length(postchange::text), 0)) over (
            order by id rows between unbounded preceding and 1 preceding
        ) as bytes_before
    from weighed
    where coalesce(stored_before, 0) < :max_bytes::bigint
)
select
    change.id, change.transaction_id::text::bigint as transaction_id, change.time, change.content_type_id,
    change.action::text as action, change.session_role, change.context::text as context,
    change.prechange::text as prechange, change.postchange::text as postchange, coalesce(change.found, 0) as found,
    case when :horizon::text is null then horizon.snapshot::text end as horizon, configuration.version
from horizon
cross join configuration
left join counted as change on coalesce(change.bytes_before, 0) < :max_bytes::bigint
order by change.id
limit :limit::integer

-- name: load_hook_positions
select position.hook_id, position.seen::text, position.seen_floor, position.horizon::text, position.horizon_floor, position.last_id, cursor.first_id
from jobhooks.hook_position as position
cross join jobhooks.cursor as cursor

-- name: save_positions
select jobhooks.save_positions(:leader, :shared::text::json, :hooks::text::json)

-- name: save_rates
select jobhooks.save_rates(:leader, :buckets::text::json)

-- name: rate_buckets
-- The keys that have used a part of a hook's rate, and the seconds until all of it is free.
select key, extract(epoch from full_at - clock_timestamp())::double precision
from jobhooks.rate_bucket
where hook_id = :hook_id and full_at > clock_timestamp()

-- name: content_types
select
    content_type.id, coalesce(jobhooks.table_name(content_type.relation), content_type.name) as name,
    namespace.nspname::text as schema, class.relname::text as table, content_type.key_columns, content_type.ignore,
    array(
        select coalesce(format_type(attribute.atttypid, attribute.atttypmod), 'text')
        from unnest(content_type.key_columns) with ordinality as key (name, position)
        left join pg_attribute as attribute
            on attribute.attrelid = content_type.relation and attribute.attname = key.name and not attisdropped
        order by key.position
    ) as key_types,
    -- With inactive parents: pending deliveries refer to them.
    (
        select coalesce(json_agg(json_build_array(
            known.parent_id, known.columns,
            known.active and parent.watched and cardinality(known.columns) = cardinality(parent.key_columns)
        ) order by known.position, known.parent_id), '[]')::text
        from jobhooks.content_type_parent as known
        join jobhooks.content_type as parent on parent.id = known.parent_id
        where known.content_type_id = content_type.id
    ) as parents
from jobhooks.content_type as content_type
left join pg_class as class on class.oid = content_type.relation
left join pg_namespace as namespace on namespace.oid = class.relnamespace

-- name: send_bytes
-- Bytes as they are stored, even if they are not text.
set client_encoding = 'SQL_ASCII'

-- name: send_characters
set client_encoding = 'UTF8'

-- name: configuration_version
select jobhooks.configuration_version()

-- name: unchecked_conditions
-- Of all hooks, enabled or not. former: of a hook that is older than the comparison with its tables.
select
    hook.id as hook_id, hook.name, hook.conditions, shown.content_types as tables, verdict.hook_id is not null as former, null as error
from jobhooks.job_hook as hook
join jobhooks.hooks as shown on shown.id = hook.id
left join jobhooks.condition_verdict as verdict on verdict.hook_id = hook.id and verdict.conditions = hook.conditions
where hook.conditions <> '' and (verdict.hook_id is null or verdict.checked_at = '-infinity')
order by hook.id
limit :limit

-- name: refused_conditions
-- Those whose verdict is an error, which the tables may have made right.
select hook.id as hook_id, hook.name, hook.conditions, shown.content_types as tables, false as former, verdict.error
from jobhooks.job_hook as hook
join jobhooks.hooks as shown on shown.id = hook.id
join jobhooks.condition_verdict as verdict on verdict.hook_id = hook.id and verdict.conditions = hook.conditions
where verdict.error is not null
order by hook.id

-- name: note_condition_verdicts
select jobhooks.note_condition_verdicts(:verdicts)

-- name: data_of_hooks
-- Of all hooks, enabled or not, with the verdict on these data.
select hook.id as hook_id, hook.name, job.class_path as job, hook.data::text as data, taken.hook_id is not null as checked, taken.error
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
left join jobhooks.data_verdict as taken
    on taken.hook_id = hook.id and taken.job_id = hook.job_id and taken.data = hook.data
order by hook.id

-- name: note_data_verdicts
select jobhooks.note_data_verdicts(:verdicts)

-- name: active_hooks
-- Includes hooks whose job is not installed: their deliveries wait in the backlog.
select id, job_id, content_type_ids, enabled_since, queue_limit, runs, settings, limits, child_ids, refusal
from jobhooks.loaded_hooks
where active
order by id
