-- jobhooks.renumber_transactions(): give unread changes and saved snapshots transaction ids of this server, after a restore.
--
-- For the transaction of begin_adoption, which has locked the log. The transactions of the former place keep their order, and
-- each saved snapshot sees the same of them as before. Those that wrote here come after them, so no saved snapshot sees
-- one. All get ids of transactions that have ended on this server. Changes up to read_by_all() keep their ids, which can occur
-- again here: so no reader looks at them (first_id).
create or replace function jobhooks.renumber_transactions()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    now_here constant pg_snapshot := pg_current_snapshot();
    next_id constant bigint := pg_snapshot_xmax(now_here)::text::bigint;
    in_progress constant bigint [] := array(select id::text::bigint from pg_snapshot_xip(now_here) as id);
    read_by_all constant bigint := jobhooks.read_by_all();
    former bigint []; -- of the former place, in order
    of_here bigint [];
    fresh bigint []; -- their new ids, and then those of of_here
begin
    select
        coalesce(array_agg(id order by id) filter (where not is_new), '{}'),
        coalesce(array_agg(id order by id) filter (where is_new), '{}')
    into former, of_here
    from (select distinct is_new, transaction_id::text::bigint as id from jobhooks.moved_transactions()) as moved;
    fresh := jobhooks.ended_transactions(now_here, cardinality(former) + cardinality(of_here));

    update jobhooks.object_change as change
    set transaction_id = renumbered.new_id::text::xid8
    from jobhooks.moved_transactions() as moved
    join (
        select id, false as is_new, fresh[place] as new_id
        from unnest(former) with ordinality as one (id, place)
        union all
        select id, true, fresh[cardinality(former) + place]
        from unnest(of_here) with ordinality as one (id, place)
    ) as renumbered on renumbered.id = moved.transaction_id::text::bigint and renumbered.is_new = moved.is_new
    where change.id > read_by_all and change.transaction_id = moved.transaction_id
        and change.tableoid = moved.segment and change.xmin::text = moved.written_by;

    update jobhooks.cursor
    set seen = jobhooks.renumbered_snapshot(seen, former, fresh, in_progress, next_id),
        horizon = jobhooks.renumbered_snapshot(horizon, former, fresh, in_progress, next_id),
        first_id = read_by_all;
    update jobhooks.hook_position
    set seen = jobhooks.renumbered_snapshot(seen, former, fresh, in_progress, next_id),
        horizon = jobhooks.renumbered_snapshot(horizon, former, fresh, in_progress, next_id);
    update jobhooks.job_hook
    set enabled_since = jobhooks.renumbered_snapshot(enabled_since, former, fresh, in_progress, next_id);
end
$$;

comment on function jobhooks.renumber_transactions() is
'Give unread changes and saved snapshots transaction ids of this server, after a restore';
