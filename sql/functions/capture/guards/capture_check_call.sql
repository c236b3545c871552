-- jobhooks_capture.check_call(content_type_id): refuse a call outside a transaction that writes to the table.
--
-- A trigger's statement holds a lock on the table, or on the partition that it names, which takes the privilege to write to it.
-- Called only for a session_may_call, because it looks at all locks of the server. It refuses nothing if the table is not
-- known, as after a restore without data: a writer must not fail.
create or replace function jobhooks_capture.check_call(content_type_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    written constant regclass := (
        select class.oid
        from jobhooks.content_type as known
        join pg_class as class on class.oid = known.relation
        where known.id = content_type_id
    );
    own_database constant oid := (select oid from pg_database where datname = current_database());
begin
    if written is not null and not exists (
        select from pg_locks
        where pid = pg_backend_pid() and granted and database = own_database
            and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
            and case when relation = written then true else written in (select pg_partition_ancestors(relation)) end
    ) then
        raise exception 'cannot record a change of %: this transaction does not write to the table', written
        using errcode = '42501', hint = 'write to the table; its trigger records the change';
    end if;
end
$$;

comment on function jobhooks_capture.check_call(integer) is 'Refuse a call outside a transaction that writes to the table';
