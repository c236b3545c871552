-- jobhooks.moved_transactions(): the transactions of the changes that a hook may still read, in a database that was restored.
--
-- is_new: it wrote after the restore. Its id has nothing to do with those of the former place, and can be one of these by
-- chance. written_by, segment: the transaction that stored its rows. A restore stores the changes of many transactions in one,
-- so these, and those up to known_to_reader(), are from the former place; and so are rows that an earlier transaction stored
-- than the one that made the change. Others count as new: they are read again, and left out if they have results.
create or replace function jobhooks.moved_transactions()
returns table (segment oid, written_by text, transaction_id xid8, is_new boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        change.tableoid, change.xmin::text, change.transaction_id,
        count(*) over same_writer = 1
        and min(min(change.id)) over same_writer > (select jobhooks.known_to_reader())
        -- xmin has 32 bits: the transaction is the last one with these.
        and server.next_id - ((server.next_id - change.xmin::text::bigint) & 4294967295) >= change.transaction_id::text::bigint
    from jobhooks.object_change as change
    cross join (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_id) as server
    where change.id > (select jobhooks.read_by_all())
    group by change.tableoid, change.xmin::text, change.transaction_id, server.next_id
    window same_writer as (partition by change.tableoid, change.xmin::text)
$$;

comment on function jobhooks.moved_transactions() is
'The transactions of the changes that a hook may still read, in a database that was restored';
