-- jobhooks.names_of_tables(): the tables of this database that can be watched, judging by their names and kinds.
create or replace function jobhooks.names_of_tables()
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select jobhooks.table_name(class.oid)
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.relkind in ('r', 'p') and class.relpersistence <> 't'
        and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
$$;

comment on function jobhooks.names_of_tables() is 'The tables of this database that can be watched, judging by their names and kinds';
