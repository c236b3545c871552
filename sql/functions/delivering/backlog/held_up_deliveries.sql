-- jobhooks.held_up_deliveries(looked_at): for each hook with dead deliveries: how many, and how many wait behind them, of how many
-- ordering keys.
--
-- Of the first looked_at rows of the backlog. A delivery waits behind a dead one also if it waits behind one that does.
create or replace function jobhooks.held_up_deliveries(looked_at bigint default null)
returns table (hook_id integer, dead bigint, held_up bigint, held_up_keys bigint, oldest_dead bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set jit = off
as $$
    with recursive pending as materialized (
        select * from jobhooks.delivery_states(null, held_up_deliveries.looked_at)
    ),
    held as (
        select pending.hook_id, pending.change_id, true as is_dead, pending.content_type_id, pending.lane
        from pending
        where pending.status = 'dead'
        union
        select pending.hook_id, pending.change_id, false, pending.content_type_id, pending.lane
        from held
        join pending on pending.hook_id = held.hook_id and pending.behind = held.change_id
        where pending.status = 'blocked'
    )
    select
        held.hook_id, count(*) filter (where held.is_dead), count(*) filter (where not held.is_dead),
        count(distinct (held.content_type_id, held.lane)) filter (where not held.is_dead),
        min(held.change_id) filter (where held.is_dead)
    from held
    group by held.hook_id
$$;

comment on function jobhooks.held_up_deliveries(bigint) is
'For each hook with dead deliveries: how many, and how many wait behind them, of how many ordering keys';
