-- jobhooks.pending_deliveries(hook_ids, looked_at): the rows of jobhooks.delivery, each with its status as it follows from the others.
--
-- hook_ids: of these hooks only; looked_at: at most so many rows, in no particular order. A delivery is blocked if an older one
-- that blocks has one of its lanes; a lane of null is the whole table. Dead deliveries and those that do not block wait for no
-- other. behind: the oldest delivery that a blocked one waits for; due_at: null unless it is waiting. With debounce, the first
-- delivery of an object is due when the last one is, but not later than the hook's longest wait allows; so it is with coalesce_s
-- of -1, which waits for a second by default, at the latest: another request can end the wait before.
--
-- One pass over the rows, and one over the first of each lane: the cost grows with the number of rows and not with the length of
-- a lane. The backlog grows and shrinks faster than the planner's statistics, so only hash joins are on: a nested loop, or a merge
-- join by the hook alone, would compare all rows of a hook with all of its lanes.
create or replace function jobhooks.pending_deliveries(hook_ids integer [] default null, looked_at bigint default null)
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
    parked_at timestamptz
)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set enable_mergejoin = off
set jit = off
as $$
    with delivery as materialized (
        select known.*
        from jobhooks.delivery as known
        where pending_deliveries.hook_ids is null or known.hook_id = any (pending_deliveries.hook_ids)
        limit pending_deliveries.looked_at
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
        case when blocked.so then 'blocked' else replace(compared.status, 'blocked', 'waiting') end,
        case when blocked.so then compared.oldest end,
        compared.attempts, compared.failures,
        case when not blocked.so then greatest(
            compared.due_at,
            case when compared.attempts = 0 and quiet.period_s is not null then least(
                compared.last_due_at,
                compared.due_at + (coalesce(hook.longest_wait_s, 10 * quiet.period_s) - quiet.period_s) * interval '1 second'
            ) end
        ) end,
        compared.parked_at
    from compared
    left join jobhooks.job_hook as hook on hook.id = compared.hook_id
    cross join lateral (select coalesce(hook.debounce_s, case when hook.coalesce_s = -1 then 1 end) as period_s) as quiet
    cross join lateral (
        select compared.status <> 'dead' and compared.blocks and compared.oldest < compared.change_id as so
    ) as blocked
$$;

comment on function jobhooks.pending_deliveries(integer [], bigint) is
'The rows of jobhooks.delivery, each with its status as it follows from the others';
