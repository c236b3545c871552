-- jobhooks_capture.check_call(content_type_id, action): refuse a call outside a transaction that writes to the table; returns false.
--
-- The server counts the rows that a session has written to a table, without a query: inserts for a create, and so on. Counts stay
-- for up to a second after their transaction. So for a session_may_call, and where there is no such count (a TRUNCATE, a foreign
-- partition, track_counts off), the transaction must also hold a lock that only a role that may write can take; that looks at
-- all locks of the server. It refuses nothing if the table is not known, as after a restore without data: a writer must not fail.
create or replace function jobhooks_capture.check_call(content_type_id integer, action jobhooks.action)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    written regclass;
    is_partitioned boolean;
    has_counted boolean;
    own_database oid;
begin
    select class.oid, class.relkind = 'p'
    into written, is_partitioned
    from jobhooks.content_type as known
    join pg_class as class on class.oid = known.relation
    where known.id = content_type_id;
    if written is null then
        return false;
    end if;

    has_counted := coalesce(case action
        when 'create' then pg_stat_get_xact_tuples_inserted(written)
        when 'update' then pg_stat_get_xact_tuples_updated(written)
        when 'delete' then pg_stat_get_xact_tuples_deleted(written)
    end, 0) > 0;
    if is_partitioned then
        -- The second part looks for partitions of partitions, which takes longer.
        has_counted := exists (
            select from pg_inherits
            where inhparent = written and case action
                when 'create' then pg_stat_get_xact_tuples_inserted(inhrelid)
                when 'update' then pg_stat_get_xact_tuples_updated(inhrelid)
                when 'delete' then pg_stat_get_xact_tuples_deleted(inhrelid)
            end > 0
        ) or exists (
            with recursive part (oid) as (
                select written::oid
                union all
                select inherited.inhrelid from pg_inherits as inherited join part on part.oid = inherited.inhparent
            )

            select from part
            where case action
                when 'create' then pg_stat_get_xact_tuples_inserted(oid)
                when 'update' then pg_stat_get_xact_tuples_updated(oid)
                when 'delete' then pg_stat_get_xact_tuples_deleted(oid)
            end > 0
        );
    end if;
    if has_counted and not jobhooks_capture.session_may_call() then
        return false;
    end if;

    own_database := (select oid from pg_database where datname = current_database());
    if not exists (
        select from pg_locks
        where pid = pg_backend_pid() and granted and database = own_database
            and (
                mode = 'AccessExclusiveLock'
                or action <> 'truncate' and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock')
            )
            and case when relation = written then true else written in (select pg_partition_ancestors(relation)) end
            and (
                has_counted or action = 'truncate' or not current_setting('track_counts')::boolean
                or (select relkind = 'f' from pg_class where pg_class.oid = pg_locks.relation)
            )
    ) then
        raise exception 'cannot record a change of %: this transaction does not write to the table', written
        using errcode = '42501', hint = 'write to the table; its trigger records the change';
    end if;
    return false;
end
$$;

comment on function jobhooks_capture.check_call(integer, jobhooks.action) is
'Refuse a call outside a transaction that writes to the table; returns false';
