-- Running a receiver for a change, recording its outcome, and the backlog.

-- name: begin_run
-- One message, sent when a receiver first uses its connection. It resets the session, which the run before, or a trigger of
-- the tables it wrote, may have changed. Then it begins the transaction, marks it as this run's, and sets the formats in which
-- capture writes rows as json. The reset is a separate transaction: otherwise it would be part of the run's.
begin;
reset session authorization;
reset all;
close all;
unlisten *;
discard temp;
select pg_advisory_unlock_all();
commit;
begin isolation level read committed read write;
select
    set_config('jobhooks.delivery', :mark, true), set_config('datestyle', 'ISO, YMD', true),
    set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true)

-- name: end_run
-- Also one message: the result of a run with nothing to report but success, and the end.
select jobhooks.record_result(:change_id, :hook_id, :job_id, :attempt, 'success', :started_at, :finished_at, null, null, null);
commit

-- name: next_run
-- One message: the second run joins the transaction of another. The session is reset in between, and if this run fails, it
-- alone is rolled back. It does not wait for locks, because the other runs hold theirs at the same time.
savepoint jobhooks;
reset session authorization;
reset all;
close all;
discard temp;
set local lock_timeout = '10ms';
set local jobhooks.delivery = :mark

-- name: keep_run
-- The third run and each later one send this first: the run before them stays, and its savepoint goes.
release savepoint jobhooks

-- name: undo_run
rollback to savepoint jobhooks

-- name: end_runs
-- One message: the results of runs of one hook that share a transaction, and have nothing to report but success.
select jobhooks.record_successes(:change_ids, :hook_id, :job_id, :attempts, :started_at, :finished_at);
commit

-- name: commit
commit

-- name: rollback
rollback

-- name: record_results
select jobhooks.record_results(:change_ids, :hook_id, :job_id, :attempts, :status, :started_at, :finished_at, :error, :log_entries::text::json, :value::text::json)

-- name: previous_change
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.previous_change(:change_id, :looked_at) as change

-- name: database_time
select extract(epoch from clock_timestamp())::double precision

-- name: settle
select jobhooks.settle(:leader, :change_ids, :hook_ids, :job_ids, :attempts, :started_at, :finished_at, :rest::text::json)

-- name: note_condition_failures
select jobhooks.note_condition_failures(:failures::text::json)

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

-- name: hooks_with_debts
-- The hooks that have a backlog, dead deliveries included, and whether :many or more of them wait for an attempt.
select
    hook_id,
    (
        select count(*) = :many
        from (
            select from jobhooks.delivery as delivery
            where delivery.hook_id = hook.hook_id and delivery.status = 'waiting' limit :many
        ) as first
    ) as many
from unnest(:hook_ids::integer []) as hook (hook_id)
where exists (select from jobhooks.delivery as delivery where delivery.hook_id = hook.hook_id and delivery.blocks)
    or exists (
        select from jobhooks.delivery as delivery where delivery.hook_id = hook.hook_id and delivery.status = 'waiting'
    )

-- name: blocked_deliveries
-- The deliveries of one hook that are blocked by its backlog. :change_ids, :content_type_ids, :lanes and :other_lanes pair up
-- element by element. The last two conditions are not written as exists: the planner would hash the hook's whole backlog.
select owed.change_id
from unnest(:change_ids::bigint [], :content_type_ids::integer [], :lanes::bigint [], :other_lanes::bigint []) as owed (
    change_id, content_type_id, lane, other_lane
)
where exists (
        select from jobhooks.delivery as older
        where older.blocks and older.hook_id = :hook_id and older.lane in (owed.lane, owed.other_lane)
    )
    or exists (
        select from jobhooks.delivery as older
        where older.blocks and older.hook_id = :hook_id and older.other_lane in (owed.lane, owed.other_lane)
    )
    or (
        select true from jobhooks.delivery as older
        where older.blocks and older.hook_id = :hook_id and older.content_type_id = owed.content_type_id and older.lane is null
        limit 1
    )
    or owed.lane is null and (
        select true from jobhooks.delivery as older
        where older.blocks and older.hook_id = :hook_id and older.content_type_id = owed.content_type_id
        limit 1
    )

-- name: due_debts
-- The pending deliveries of a hook that are due, after a position, about :max_bytes at most. "settled" means that the attempt has
-- a result: its process died before it could report the outcome.
with due as materialized (
    select delivery.change_id, delivery.hook_id, delivery.attempts, delivery.failures, delivery.due_at
    from jobhooks.delivery as delivery
    where delivery.hook_id = :hook_id and delivery.status = 'waiting' and (delivery.due_at, delivery.change_id) > (:after_due_at, :after_change_id)
        and delivery.due_at <= clock_timestamp()
    order by delivery.due_at, delivery.change_id
    limit :limit
),
weighed as ( -- as in read_page
    select
        due.*, change.*,
        sum(coalesce(pg_column_size(change.prechange), 0) + coalesce(pg_column_size(change.postchange), 0)) over (
            order by due.due_at, due.change_id rows between unbounded preceding and 1 preceding
        ) as stored_before
    from due
    join jobhooks.object_change as change on change.id = due.change_id
),
counted as (
    select
        weighed.*,
        sum(coalesce(octet_length(prechange::text), 0) + coalesce(octet_length(postchange::text), 0)) over (
            order by due_at, change_id rows between unbounded preceding and 1 preceding
        ) as bytes_before
    from weighed
    where coalesce(stored_before, 0) < :max_bytes
)
select
    change.id, change.transaction_id::text::bigint as transaction_id, change.time, change.content_type_id,
    change.action::text as action, change.session_role, change.context::text as context,
    change.prechange::text as prechange, change.postchange::text as postchange,
    change.attempts, change.failures, change.due_at,
    exists (
        select from jobhooks.job_result as result
        where result.change_id = change.change_id and result.hook_id = change.hook_id
            and result.attempt > change.attempts
    ) as settled
from counted as change
where coalesce(change.bytes_before, 0) < :max_bytes
order by change.due_at, change.change_id

-- name: debts_behind
-- For each of these deliveries of a hook (arrays that pair up element by element): the deliveries of its lane that only it and one
-- another block, oldest first. They end before the first change of the key.
select head.change_id as head_id, change.id, change.transaction_id::text::bigint as transaction_id, behind.attempts
from unnest(:change_ids::bigint [], :content_type_ids::integer [], :lanes::bigint []) as head (change_id, content_type_id, lane)
cross join lateral (
    select least(
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = :hook_id and delivery.lane is null
                and delivery.content_type_id = head.content_type_id and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = :hook_id and delivery.lane = head.lane
                and delivery.other_lane is not null and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = :hook_id and delivery.other_lane = head.lane
                and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        9223372036854775807
    ) as change_id
) as barrier
cross join lateral (
    select delivery.change_id, delivery.attempts
    from jobhooks.delivery as delivery
    where delivery.blocks and delivery.hook_id = :hook_id and delivery.lane = head.lane and delivery.status = 'blocked'
        and delivery.content_type_id = head.content_type_id
        and delivery.change_id > head.change_id and delivery.change_id < barrier.change_id
    order by delivery.change_id
    limit :limit
) as behind
join jobhooks.object_change as change on change.id = behind.change_id
order by head.change_id, behind.change_id

-- name: merged_changes
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where change.id = any (:ids::bigint [])

-- name: next_due
-- Seconds until the first pending delivery after these hooks' positions is due; negative if it is overdue.
select extract(epoch from min(first.due_at) - clock_timestamp())::double precision
from unnest(:hook_ids::integer [], :due_at::timestamptz [], :change_ids::bigint []) as hook (hook_id, due_at, change_id)
cross join lateral (
    select delivery.due_at
    from jobhooks.delivery as delivery
    where delivery.hook_id = hook.hook_id and delivery.status = 'waiting'
        and (delivery.due_at, delivery.change_id) > (hook.due_at, hook.change_id)
    order by delivery.due_at, delivery.change_id
    limit 1
) as first
