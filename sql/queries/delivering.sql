-- Running a receiver for a change, recording what it did, and the debts.

-- name: begin_run
-- One message, sent when a receiver first uses its connection: what the run before, or a trigger of the tables that it wrote,
-- left in the session must not reach this one; then the transaction, which is marked as this run's, and in which rows are
-- written as json as the capture writes them. The first is a transaction of its own: else it would be part of the second.
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
    set_config('jobhooks.delivery', $1, true), set_config('datestyle', 'ISO, YMD', true),
    set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true)

-- name: end_run
-- One message, too: the result of a run that has nothing to say but that it succeeded, and the end.
select jobhooks.record_result($1, $2, $3, $4, 'success', $5, $6, null, null, null);
commit

-- name: next_run
-- One message: the second run joins the transaction of another. What that one left in the session must not reach this one, and
-- if this one fails, it alone is undone. It does not wait for locks, since others hold theirs meanwhile.
savepoint jobhooks;
reset session authorization;
reset all;
close all;
discard temp;
set local lock_timeout = '10ms';
set local jobhooks.delivery = $1

-- name: keep_run
-- Sent before that by the third run and those after it: the one before stays, and its savepoint goes.
release savepoint jobhooks

-- name: undo_run
rollback to savepoint jobhooks

-- name: end_runs
-- One message: the results of runs of one hook that share a transaction, and have nothing to say but that they succeeded.
select jobhooks.record_successes($1, $2, $3, $4, $5, $6);
commit

-- name: commit
commit

-- name: rollback
rollback

-- name: record_results
select jobhooks.record_results($1, $2, $3, $4, $5, $6, $7, $8, $9::text::json, $10::text::json)

-- name: previous_change
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.previous_change($1, $2) as change

-- name: database_time
select extract(epoch from clock_timestamp())::double precision

-- name: settle
select jobhooks.settle($1, $2, $3, $4, $5, $6, $7, $8::text::json)

-- name: note_condition_failures
select jobhooks.note_condition_failures($1::text::json)

-- name: last_settled
-- No change with a greater id was settled or parked.
select greatest(
    (select max(change_id) from jobhooks.job_result), (select max(change_id) from jobhooks.delivery), 0
)

-- name: settled_deliveries
-- Which of these deliveries (changes $1, hooks $2) have been settled or parked.
select result.change_id, result.hook_id
from jobhooks.job_result as result
where result.change_id = any($1::bigint []) and result.hook_id = any($2::integer [])
union
select delivery.change_id, delivery.hook_id
from jobhooks.delivery as delivery
where delivery.change_id = any($1::bigint []) and delivery.hook_id = any($2::integer [])

-- name: result_of
-- What became of an attempt (change $1, hook $2, attempt $3) whose connection was lost.
select status, error from jobhooks.job_result where change_id = $1 and hook_id = $2 and attempt = $3

-- name: hooks_with_debts
-- Each hook of $1 that has debts, dead ones too, and whether it has more of them to attempt than fit in memory ($2).
select
    hook_id,
    (
        select count(*) = $2
        from (
            select from jobhooks.delivery as delivery
            where delivery.hook_id = hook.hook_id and delivery.status = 'waiting' limit $2
        ) as first
    ) as many
from unnest($1::integer []) as hook (hook_id)
where exists (select from jobhooks.delivery as delivery where delivery.hook_id = hook.hook_id and delivery.blocks)
    or exists (
        select from jobhooks.delivery as delivery where delivery.hook_id = hook.hook_id and delivery.status = 'waiting'
    )

-- name: blocked_deliveries
-- Which of these deliveries of one hook (hook $1, changes $2, content types $3, lanes $4, other lanes $5) are behind a debt.
-- The last two are no exists, which the planner would turn into a table of all such debts.
select owed.change_id
from unnest($2::bigint [], $3::integer [], $4::bigint [], $5::bigint []) as owed (
    change_id, content_type_id, lane, other_lane
)
where exists (
        select from jobhooks.delivery as older
        where older.blocks and older.hook_id = $1 and older.lane in (owed.lane, owed.other_lane)
    )
    or exists (
        select from jobhooks.delivery as older
        where older.blocks and older.hook_id = $1 and older.other_lane in (owed.lane, owed.other_lane)
    )
    or (
        select true from jobhooks.delivery as older
        where older.blocks and older.hook_id = $1 and older.content_type_id = owed.content_type_id and older.lane is null
        limit 1
    )
    or owed.lane is null and (
        select true from jobhooks.delivery as older
        where older.blocks and older.hook_id = $1 and older.content_type_id = owed.content_type_id
        limit 1
    )

-- name: due_debts
-- The debts of a hook ($1) that are due, after a position ($2, $3), at most $4 of them and about $5 bytes; settled: by somebody
-- who could not say so.
with due as materialized (
    select delivery.change_id, delivery.hook_id, delivery.attempts, delivery.failures, delivery.due_at
    from jobhooks.delivery as delivery
    where delivery.hook_id = $1 and delivery.status = 'waiting' and (delivery.due_at, delivery.change_id) > ($2, $3)
        and delivery.due_at <= clock_timestamp()
    order by delivery.due_at, delivery.change_id
    limit $4
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
    where coalesce(stored_before, 0) < $5
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
where coalesce(change.bytes_before, 0) < $5
order by change.due_at, change.change_id

-- name: debts_behind
-- Of a hook ($1), for each of these debts (changes $2, content types $3, lanes $4): those of its lane that are blocked by it, and
-- by nothing else but one another, oldest first, at most $5. A change of the key is none of them, and nothing behind it is.
select head.change_id as head_id, change.id, change.transaction_id::text::bigint as transaction_id, behind.attempts
from unnest($2::bigint [], $3::integer [], $4::bigint []) as head (change_id, content_type_id, lane)
cross join lateral (
    select least(
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = $1 and delivery.lane is null
                and delivery.content_type_id = head.content_type_id and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = $1 and delivery.lane = head.lane
                and delivery.other_lane is not null and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        (
            select delivery.change_id from jobhooks.delivery as delivery
            where delivery.blocks and delivery.hook_id = $1 and delivery.other_lane = head.lane
                and delivery.change_id > head.change_id
            order by delivery.change_id limit 1
        ),
        9223372036854775807
    ) as change_id
) as barrier
cross join lateral (
    select delivery.change_id, delivery.attempts
    from jobhooks.delivery as delivery
    where delivery.blocks and delivery.hook_id = $1 and delivery.lane = head.lane and delivery.status = 'blocked'
        and delivery.content_type_id = head.content_type_id
        and delivery.change_id > head.change_id and delivery.change_id < barrier.change_id
    order by delivery.change_id
    limit $5
) as behind
join jobhooks.object_change as change on change.id = behind.change_id
order by head.change_id, behind.change_id

-- name: merged_changes
-- With the columns that read_page gives them.
select
    change.id, change.transaction_id::text::bigint, change.time, change.content_type_id, change.action::text,
    change.session_role, change.context::text, change.prechange::text, change.postchange::text
from jobhooks.object_change as change
where change.id = any ($1::bigint [])

-- name: next_due
-- In how many seconds the first debt of these hooks ($1) is due after their positions ($2, $3); perhaps it is by now.
select extract(epoch from min(first.due_at) - clock_timestamp())::double precision
from unnest($1::integer [], $2::timestamptz [], $3::bigint []) as hook (hook_id, due_at, change_id)
cross join lateral (
    select delivery.due_at
    from jobhooks.delivery as delivery
    where delivery.hook_id = hook.hook_id and delivery.status = 'waiting'
        and (delivery.due_at, delivery.change_id) > (hook.due_at, hook.change_id)
    order by delivery.due_at, delivery.change_id
    limit 1
) as first
