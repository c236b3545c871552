-- Running a receiver for a change, recording its outcome, and the backlog.

-- name: begin_run
-- One message, sent when a receiver first uses its connection. It resets the session, which the run before, or a trigger of
-- the tables it wrote, may have changed; :set_again makes the settings again that the reset takes back. Then it begins the
-- transaction and marks it as this run's; :cause sets the user and the request of its changes. The reset is a separate
-- transaction: otherwise it would be part of the run's.
begin;
reset session authorization;
reset all;
:set_again
close all;
unlisten *;
discard temp;
select pg_advisory_unlock_all();
commit;
begin isolation level read committed read write;
set local jobhooks.delivery = :mark;
:cause

-- name: end_run
-- Also one message: the result of a run with nothing to report but success, and the end.
select jobhooks.record_result(:change_id, :hook_id, :job_id, :attempt, 'success', :started_at, :finished_at, null, null, null, :version);
commit

-- name: next_run
-- One message: the second run joins the transaction of another. The session is reset in between, and if this run fails, it
-- alone is rolled back. It does not wait for locks, because the other runs hold theirs at the same time.
savepoint jobhooks;
reset session authorization;
reset all;
:set_again
close all;
discard temp;
set local lock_timeout = '10ms';
set local jobhooks.delivery = :mark;
:cause

-- name: keep_run
-- The third run and each later one send this first: the run before them stays, and its savepoint goes.
release savepoint jobhooks

-- name: undo_run
rollback to savepoint jobhooks

-- name: end_runs
-- One message: the results of runs of one hook that share a transaction, and have nothing to report but success.
select jobhooks.record_successes(:change_ids, :hook_id, :job_id, :attempts, :started_at, :finished_at, :version);
commit

-- name: commit
commit

-- name: rollback
rollback

-- name: record_results
select jobhooks.record_results(:change_ids, :hook_id, :job_id, :attempts, :status, :started_at, :finished_at, :error, :log_entries::text::json, :value::text::json, :version)

-- name: previous_change
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.previous_change(:change_id, :looked_at) as change

-- name: changes_of_object
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.changes_of_object(:change_id, :later, :looked_at, :most) as change

-- name: foreign_keys
-- The foreign keys of a table, with the primary keys of both tables. Those of partitions are copies of their table's.
select
    fk.conname::text, source.columns, source.types, array[own_schema.nspname::text, own.relname::text],
    own_key.columns, own_key.types, referred.columns, referred.types,
    array[other_schema.nspname::text, other.relname::text], other_key.columns, other_key.types
from pg_catalog.pg_constraint as fk
join pg_catalog.pg_class as own on own.oid = fk.conrelid
join pg_catalog.pg_namespace as own_schema on own_schema.oid = own.relnamespace
join pg_catalog.pg_class as other on other.oid = fk.confrelid
join pg_catalog.pg_namespace as other_schema on other_schema.oid = other.relnamespace
left join pg_catalog.pg_constraint as own_pk on own_pk.conrelid = own.oid and own_pk.contype = 'p'
left join pg_catalog.pg_constraint as other_pk on other_pk.conrelid = other.oid and other_pk.contype = 'p'
cross join lateral jobhooks.columns_of_key(own.oid, fk.conkey) as source (columns, types)
cross join lateral jobhooks.columns_of_key(other.oid, fk.confkey) as referred (columns, types)
cross join lateral jobhooks.columns_of_key(own.oid, own_pk.conkey) as own_key (columns, types)
cross join lateral jobhooks.columns_of_key(other.oid, other_pk.conkey) as other_key (columns, types)
where fk.contype = 'f' and fk.conparentid = 0 and own_schema.nspname = :schema and own.relname = :table
order by fk.conname

-- name: database_time
select extract(epoch from clock_timestamp())::double precision

-- name: pause_loop
select jobhooks.pause_loop(:leader, :hook_id, :reason)

-- name: settle
select jobhooks.settle(:leader, :change_ids, :hook_ids, :job_ids, :attempts, :started_at, :finished_at, :rest::text::json, :versions)

-- name: load_suspects
select change_id, hook_id, attempt, crashes, state, reason, version from jobhooks.load_suspects(:leader, :died)

-- name: mark_runs
select jobhooks.mark_runs(:leader, :ended::text::json, :begun::text::json, :alone)

-- name: blame_runs
select jobhooks.blame_runs(:runs::text::json, :reason)

-- name: note_runs
select change_id, hook_id, attempt, deliveries, cancelled
from jobhooks.note_runs(:leader, :ended::text::json, :begun::text::json, :lines::text::json)

-- name: interrupt_runs
select jobhooks.interrupt_runs(:leader)

-- name: note_condition_failures
select jobhooks.note_condition_failures(:failures::text::json)

-- name: note_chain_ends
select jobhooks.note_chain_ends(:ends::text::json)

-- name: last_settled
-- No change with a greater id was settled or parked.
select greatest(
    (select max(change_id) from jobhooks.job_result), (select max(change_id) from jobhooks.delivery), 0
)

-- name: settled_deliveries
-- The deliveries of these changes to these hooks that are settled or parked.
select result.change_id, result.hook_id
from jobhooks.job_result as result
where result.change_id = any(:change_ids::bigint []) and result.hook_id = any(:hook_ids::integer [])
union
select delivery.change_id, delivery.hook_id
from jobhooks.delivery as delivery
where delivery.change_id = any(:change_ids::bigint []) and delivery.hook_id = any(:hook_ids::integer [])

-- name: result_of
-- The result of an attempt whose connection was lost.
select status, error from jobhooks.job_result where change_id = :change_id and hook_id = :hook_id and attempt = :attempt

-- name: backlog_rows
-- The oldest :limit rows of a hook's backlog, and the seconds until each is due.
select
    change_id, content_type_id, lane, other_lane, attempts, failures, lasting, blocks,
    extract(epoch from due_at - clock_timestamp())::double precision as due_in
from jobhooks.delivery
where hook_id = :hook_id
order by change_id
limit :limit

-- name: changes_of_rows
-- What a backlog row keeps of its change: the transaction, the table, the request, and the depth in a chain. Those that are gone
-- are left out. The offset has each change looked up by its id, whatever the planner expects.
select change.id, change.transaction_id, change.content_type_id, change.request_id, change.depth
from unnest(:change_ids::bigint []) as row (change_id)
cross join lateral (
    select known.id, known.transaction_id::text::bigint as transaction_id, known.content_type_id,
        known.context ->> 'request_id' as request_id, coalesce(jobhooks.depth_of(known.triggering, known.context), 0) as depth
    from jobhooks.object_change as known
    where known.id = row.change_id
    offset 0
) as change

-- name: backlog_changes
-- The changes of backlog rows, about :max_bytes at most, with the columns that read_page gives them. :change_ids and :attempts pair
-- up element by element. "settled" means that an attempt after these has a result: its process died before it could report that.
-- "version" is that of the configuration, as in read_page.
with chosen as materialized (
    select
        pair.attempts, change.*,
        sum(coalesce(pg_column_size(change.prechange), 0) + coalesce(pg_column_size(change.postchange), 0)) over (
            order by change.id rows between unbounded preceding and 1 preceding
        ) as stored_before -- as in read_page
    from unnest(:change_ids::bigint [], :attempts::integer []) as pair (change_id, attempts)
    join jobhooks.object_change as change on change.id = pair.change_id
),
counted as (
    select
        chosen.*,
        sum(coalesce(octet_length(prechange::text), 0) + coalesce(octet_length(postchange::text), 0)) over (
            order by id rows between unbounded preceding and 1 preceding
        ) as bytes_before
    from chosen
    where coalesce(stored_before, 0) < :max_bytes
)
select
    change.id, change.transaction_id::text::bigint as transaction_id, change.time, change.content_type_id,
    change.action::text as action, change.session_role, change.context::text as context,
    change.prechange::text as prechange, change.postchange::text as postchange,
    exists (
        select from jobhooks.job_result as result
        where result.change_id = change.id and result.hook_id = :hook_id and result.attempt > change.attempts
    ) as settled,
    (select jobhooks.configuration_version()) as version
from counted as change
where coalesce(change.bytes_before, 0) < :max_bytes
order by change.id

-- name: merged_changes
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where change.id = any (:ids::bigint [])

-- name: changes_of_tables
-- The changes of these tables in a transaction, up to an id, in order, with the columns that read_page gives them. In a database that
-- was moved, an earlier change, up to first_id, can be of a transaction of the former server with the same number.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where
    (change.transaction_id, change.id) > (
        :transaction_id::bigint::text::xid8,
        greatest(:after_id::bigint, (select first_id from jobhooks.cursor where first_id < :last_id::bigint))
    )
    and (change.transaction_id, change.id) <= (:transaction_id::bigint::text::xid8, :last_id::bigint)
    and change.content_type_id = any (:content_type_ids::integer [])
order by change.transaction_id, change.id
limit :limit::integer
