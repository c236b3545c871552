-- jobhooks.renumbered_snapshot(taken, former, fresh, in_progress, next_id): a snapshot of the former place, in ids of this server.
--
-- It sees those of the transactions with the ids "former" that it saw, by their new ids, "fresh", in the same order; and no
-- other transaction that may write to the log: not one in progress here, nor one from next_id on.
create or replace function jobhooks.renumbered_snapshot(
    taken pg_snapshot, former bigint [], fresh bigint [], in_progress bigint [], next_id bigint
)
returns pg_snapshot
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    with edge as (
        select coalesce(fresh[1 + count(*) filter (where id < pg_snapshot_xmax(taken)::text::bigint)], next_id) as xmax
        from unnest(former) as id
    ),
    unseen as (
        select fresh[place] as id
        from unnest(former) with ordinality as one (id, place)
        where one.id < pg_snapshot_xmax(taken)::text::bigint
            and not pg_visible_in_snapshot(one.id::text::xid8, taken)
        union
        select id from unnest(in_progress) as id, edge where id < edge.xmax
    )
    select format(
        '%s:%s:%s', least(min(unseen.id), edge.xmax), edge.xmax, string_agg(unseen.id::text, ',' order by unseen.id)
    )::pg_snapshot
    from edge
    left join unseen on true
    group by edge.xmax
$$;

comment on function jobhooks.renumbered_snapshot(pg_snapshot, bigint [], bigint [], bigint [], bigint) is
'A snapshot of the former place, in transaction ids of this server';
