-- jobhooks.delivery_states(hook_ids, looked_at): the rows of jobhooks.delivery, each with its state as it follows from the others.
--
-- hook_ids: of these hooks only; looked_at: at most so many rows, in no particular order. A delivery is blocked if an older one
-- that blocks has one of its lanes; a lane of null is the whole table. Dead deliveries and those that do not block wait for no
-- other. behind: the oldest delivery that a blocked one waits for. With debounce, the first delivery of an object is due when the
-- last one is, but not later than the hook's longest wait allows; so it is with coalesce_s of -1, which waits for a second by
-- default, at the latest: another request can end the wait before.
--
-- status: waiting, blocked or dead. state:
--   running: it has run for about a second or longer; since started_at, in this process of this host
--   interrupted: its daemon is gone; the next one begins the attempt again
--   retrying: an attempt has failed, and the next one is due at due_at
--   waiting: attempted when due
--   paused: its hook is paused
--   blocked: behind an older delivery of the same object
--   dead: kept until an operator retries or discards it
-- waits_for: why one that waits is not late, even if due_at is over or null. Null: it is due, or blocked, runs, or is dead.
--   hook: its hook is paused or disabled, its job is disabled, or no daemon has its receiver, or that refuses the hook's data
--   retry: an attempt has ended, and the next one is due at due_at
--   debounce, coalesce: further changes of its object, until due_at
--   rate: its hook's rate, until due_at; null: some keys have used their shares, and it may be of one of them
--
-- One pass over the rows, and one over the first of each lane: the cost grows with the number of rows and not with the length of
-- a lane. The backlog grows and shrinks faster than the planner's statistics, so only hash joins are on: a nested loop, or a merge
-- join by the hook alone, would compare all rows of a hook with all of its lanes.
create or replace function jobhooks.delivery_states(hook_ids integer [] default null, looked_at bigint default null)
returns table (
    change_id bigint,
    hook_id integer,
    content_type_id integer,
    lane bigint,
    other_lane bigint,
    blocks boolean,
    status text,
    behind bigint,
    attempts integer,
    failures integer,
    due_at timestamptz,
    parked_at timestamptz,
    state text,
    waits_for text,
    started_at timestamptz,
    host text,
    pid integer,
    worker_pid integer,
    cancelled text
)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
    with current_leader as materialized (
        select cursor.leader from jobhooks.cursor where jobhooks.leader_session() is not null
    ),
    delivery as materialized (
        select known.*
        from jobhooks.delivery as known
        where delivery_states.hook_ids is null or known.hook_id = any (delivery_states.hook_ids)
        limit delivery_states.looked_at
    ),
    hook as materialized (
        select
            known.id, known.paused, known.debounce_s, known.coalesce_s, known.rate,
            coalesce(known.longest_wait_s, 10 * quiet.period_s) - quiet.period_s as longer_s,
            known.enabled and not known.paused and job.enabled and job.installed and not exists (
                select from jobhooks.data_verdict as taken
                where taken.hook_id = known.id and taken.job_id = known.job_id and taken.data = known.data and taken.error is not null
            ) as runs,
            coalesce(used.keys, 0) as keys_at_rate,
            case when known.rate_per = '{}' then used.next_at end as next_at
        from jobhooks.job_hook as known
        join jobhooks.job as job on job.id = known.job_id
        cross join lateral (
            select coalesce(known.debounce_s, case when known.coalesce_s = -1 then 1 end) as period_s
        ) as quiet
        left join lateral jobhooks.rate_waits(known.id) as used on known.rate <> ''
        where known.id in (select waiting.hook_id from delivery as waiting)
    ),
    first_of_lane as (
        select delivery.hook_id, number.lane, min(delivery.change_id) as change_id, max(delivery.due_at) as last_due_at
        from delivery
        cross join lateral (values (delivery.lane), (delivery.other_lane)) as number (lane)
        where delivery.blocks and number.lane is not null
        group by delivery.hook_id, number.lane
    ),
    first_of_table as (
        select
            delivery.hook_id, delivery.content_type_id, min(delivery.change_id) as change_id,
            min(delivery.change_id) filter (where delivery.lane is null) as whole_table
        from delivery
        where delivery.blocks
        group by delivery.hook_id, delivery.content_type_id
    ),
    compared as (
        select
            delivery.*, of_lane.last_due_at,
            least(
                of_lane.change_id, of_other_lane.change_id, of_table.whole_table,
                case when delivery.lane is null then of_table.change_id end
            ) as oldest
        from delivery
        left join first_of_lane as of_lane
            on of_lane.hook_id = delivery.hook_id and of_lane.lane = delivery.lane
        left join first_of_lane as of_other_lane
            on of_other_lane.hook_id = delivery.hook_id and of_other_lane.lane = delivery.other_lane
        left join first_of_table as of_table
            on of_table.hook_id = delivery.hook_id and of_table.content_type_id = delivery.content_type_id
    )
    select
        compared.change_id, compared.hook_id, compared.content_type_id, compared.lane, compared.other_lane,
        compared.blocks,
        now.status,
        case when now.status = 'blocked' then compared.oldest end,
        compared.attempts, compared.failures,
        case when wait.reason is distinct from 'rate' then its.due_at
            when greatest(its.due_at, hook.next_at) > clock_timestamp() then greatest(its.due_at, hook.next_at)
        end,
        compared.parked_at,
        case
            when now.status = 'dead' then 'dead'
            when running.leader = current_leader.leader then 'running'
            when running.leader is not null then 'interrupted'
            when now.status = 'blocked' then 'blocked'
            when hook.paused then 'paused'
            when compared.failures > 0 then 'retrying'
            else 'waiting'
        end,
        wait.reason,
        running.started_at, running.host, running.pid, running.worker_pid, running.cancelled
    from compared
    left join hook on hook.id = compared.hook_id
    left join jobhooks.running_delivery as running
        on running.change_id = compared.change_id and running.hook_id = compared.hook_id
        and running.attempt = compared.attempts + 1
    left join current_leader on true
    cross join lateral (
        select case
            when compared.status = 'dead' then 'dead'
            when compared.blocks and compared.oldest < compared.change_id then 'blocked'
            else 'waiting'
        end as status
    ) as now
    cross join lateral (
        select case when now.status = 'waiting' then greatest(
            compared.due_at,
            case when compared.attempts = 0 and hook.longer_s is not null then least(
                compared.last_due_at, compared.due_at + hook.longer_s * interval '1 second'
            ) end
        ) end as due_at
    ) as its
    cross join lateral (
        select case
            when now.status <> 'waiting' or running.leader is not null or hook.id is null then null
            when not hook.runs then 'hook'
            when hook.next_at > its.due_at then 'rate'
            when its.due_at <= clock_timestamp() then case when hook.keys_at_rate > 0 then 'rate' end
            when compared.attempts > 0 then 'retry'
            when hook.debounce_s is not null then 'debounce'
            when hook.coalesce_s <> 0 then 'coalesce'
            when hook.rate <> '' then 'rate'
        end as reason
    ) as wait
$$;

comment on function jobhooks.delivery_states(integer [], bigint) is
'The rows of jobhooks.delivery, each with its state as it follows from the others';
