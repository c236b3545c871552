-- jobhooks.delivery_states(hook_ids, looked_at): pending deliveries, each with its state.
--
-- Parameters and rows as in pending_deliveries, and for each row: state, and if it runs, since when and where. The states:
--   running: it has run for about a second or longer; since started_at, in this process of this host
--   interrupted: its daemon is gone; the next one begins the attempt again
--   retrying: an attempt has failed, and the next one is due at due_at
--   waiting: attempted when due
--   paused: its hook is paused
--   blocked: behind an older delivery of the same object
--   dead: kept until an operator retries or discards it
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
    )
    select
        delivery.*,
        case
            when delivery.status = 'dead' then 'dead'
            when running.leader = current_leader.leader then 'running'
            when running.leader is not null then 'interrupted'
            when delivery.status = 'blocked' then 'blocked'
            when hook.paused then 'paused'
            when delivery.failures > 0 then 'retrying'
            else 'waiting'
        end,
        running.started_at, running.host, running.pid, running.worker_pid, running.cancelled
    from jobhooks.pending_deliveries(delivery_states.hook_ids, delivery_states.looked_at) as delivery
    left join jobhooks.running_delivery as running
        on running.change_id = delivery.change_id and running.hook_id = delivery.hook_id
        and running.attempt = delivery.attempts + 1
    left join jobhooks.job_hook as hook on hook.id = delivery.hook_id
    left join current_leader on true
$$;

comment on function jobhooks.delivery_states(integer [], bigint) is 'Pending deliveries, each with its state';
