-- jobhooks.transaction_ids_survived(): whether the saved snapshots are still right for the transactions of this server.
--
-- They are after pg_upgrade and in a physical copy. After dump and restore they are if the server had already handed out all
-- ids that the log and the snapshots have. Otherwise a new transaction can have an id that a snapshot counts as ended. Facts
-- that show this:
-- - the server's next id is lower than such an id;
-- - a transaction that is in progress counts as ended;
-- - a row of the log is stored by a transaction (xmin) with a lower id than the one that made the change, which only a
--   restore does;
-- - a change that the reader did not know, because its id is higher, counts as read; unless it is older than the position, and the
--   position is stored by a later transaction than it sees. For the reader takes its low-water id before its snapshot;
-- - likewise for the snapshot of a hook, which was enabled after some of these changes.
-- In doubt they are not.
create or replace function jobhooks.transaction_ids_survived()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with snapshot as (
        select cursor.seen as taken from jobhooks.cursor
        union all select cursor.horizon from jobhooks.cursor
        union all select position.horizon from jobhooks.hook_position as position
        union all select hook.enabled_since from jobhooks.job_hook as hook
    ),
    server as materialized (
        select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_id
    )
    select not exists (
        select from snapshot where pg_snapshot_xmax(taken)::text::bigint > server.next_id
    )
    and not exists (
        select from snapshot
        cross join pg_snapshot_xip(pg_current_snapshot()) as running (transaction_id)
        where pg_visible_in_snapshot(running.transaction_id, taken)
    )
    and coalesce(
        (select change.transaction_id::text::bigint from jobhooks.object_change as change order by change.transaction_id desc limit 1),
        0
    ) < server.next_id
    and not exists (
        select
        from jobhooks.object_change as change
        where change.id > jobhooks.read_by_all() - 1000
            -- xmin has 32 bits: the transaction is the last one with these.
            and server.next_id - ((server.next_id - change.xmin::text::bigint) & 4294967295) < change.transaction_id::text::bigint
    )
    and not exists (
        select
        from jobhooks.object_change as change
        cross join jobhooks.cursor as cursor
        where change.id > cursor.horizon_floor and change.id > cursor.first_id
            and pg_visible_in_snapshot(change.transaction_id, cursor.seen)
            and (
                change.time >= cursor.saved_at
                or server.next_id - ((server.next_id - cursor.xmin::text::bigint) & 4294967295)
                < pg_snapshot_xmax(cursor.horizon)::text::bigint
            )
    )
    and not exists (
        select
        from (
            select
                hook.enabled_since, server.next_id - ((server.next_id - hook.xmin::text::bigint) & 4294967295) as stored_by
            from jobhooks.job_hook as hook
        ) as hook
        cross join jobhooks.cursor as cursor
        join jobhooks.object_change as change on change.id > cursor.horizon_floor and change.id > cursor.first_id
        where hook.stored_by < pg_snapshot_xmax(hook.enabled_since)::text::bigint
            and hook.stored_by < change.transaction_id::text::bigint
            and pg_visible_in_snapshot(change.transaction_id, hook.enabled_since)
    )
    from server
$$;

comment on function jobhooks.transaction_ids_survived() is
'Whether the saved snapshots are still right for the transactions of this server';
