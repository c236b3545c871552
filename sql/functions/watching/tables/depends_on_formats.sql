-- jobhooks.depends_on_formats(relation): whether the json of its rows can depend on the session's settings.
--
-- It does not for the listed types, arrays of them, enums, and domains over all these.
create or replace function jobhooks.depends_on_formats(relation regclass)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from jobhooks.types_of_columns(relation) as column_type (oid)
        join pg_type as type on type.oid = column_type.oid
        where type.typtype not in ('d', 'e')
            and not (type.typelem <> 0 and type.typsubscript = 'array_subscript_handler'::regproc)
            and type.oid <> all (array[
                'boolean', 'smallint', 'integer', 'bigint', 'numeric', 'oid', 'text', 'varchar', 'bpchar', '"char"', 'name',
                'uuid', 'json', 'jsonb', 'date', 'timestamp', 'timestamptz', 'time', 'timetz', 'inet', 'cidr', 'macaddr',
                'bit', 'varbit', 'tsvector', 'xml'
            ]::regtype [])
    )
$$;

comment on function jobhooks.depends_on_formats(regclass) is
'Whether the json of its rows can depend on the session''s settings';
