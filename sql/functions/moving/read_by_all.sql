-- jobhooks.read_by_all(): every change up to this id was read for all hooks, or is not for any.
create or replace function jobhooks.read_by_all()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with position as (
        select cursor.seen, cursor.seen_floor from jobhooks.cursor
        union all
        select own.seen, own.seen_floor from jobhooks.hook_position as own
    )
    select greatest(
        (select cursor.first_id from jobhooks.cursor),
        least(
            (select min(position.seen_floor) from position),
            -- Of the transactions that were in progress, changes with lower ids may be unread.
            (
                select min(change.id) - 1
                from position
                cross join pg_snapshot_xip(position.seen) as straggler (transaction_id)
                cross join lateral (
                    select id from jobhooks.object_change
                    where object_change.transaction_id = straggler.transaction_id
                    order by object_change.transaction_id, object_change.id
                    limit 1
                ) as change
            )
        )
    )
$$;

comment on function jobhooks.read_by_all() is 'Every change up to this id was read for all hooks, or is not for any';
