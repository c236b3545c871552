-- jobhooks.table_name(relation): schema.table, quoted where SQL needs it; null after the table is dropped.
--
-- Unlike relation::text it names the schema for every search_path of the caller.
create or replace function jobhooks.table_name(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format('%I.%I', namespace.nspname, class.relname)
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.oid = relation
$$;

comment on function jobhooks.table_name(regclass) is 'schema.table, quoted where SQL needs it; null after the table is dropped';
