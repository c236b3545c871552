-- jobhooks.logged_columns(tables): the columns of watched tables, and how the log has their values.
--
-- tables: names as jobhooks.hooks lists them. A table that was dropped has no rows. kind: the JSON of a value that is not null, as
-- to_json makes it: bool, number, numeric (a number, or a text such as NaN), list, map, text, or json: any of them. A domain is like
-- its type. excluded: the log does not have the column.
create or replace function jobhooks.logged_columns(tables text [])
returns table (content_type text, name text, type text, kind text, excluded boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive found as (
        select
            jobhooks.table_name(content_type.relation) as content_type, attribute.attname::text as name,
            format_type(attribute.atttypid, attribute.atttypmod) as type, attribute.attnum,
            attribute.attname = any (content_type.exclude) as excluded, attribute.atttypid as base
        from jobhooks.content_type as content_type
        join pg_attribute as attribute on attribute.attrelid = content_type.relation
        where jobhooks.table_name(content_type.relation) = any (logged_columns.tables)
            and attribute.attnum > 0
            and not attribute.attisdropped
        union all
        select found.content_type, found.name, found.type, found.attnum, found.excluded, known.typbasetype
        from found
        join pg_type as known on known.oid = found.base and known.typtype = 'd'
    )
    select
        found.content_type, found.name, found.type,
        case
            when known.oid = 'boolean'::regtype then 'bool'
            when known.oid in ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype) then 'number'
            when known.oid in ('numeric'::regtype, 'real'::regtype, 'double precision'::regtype) then 'numeric'
            when known.oid in ('json'::regtype, 'jsonb'::regtype) then 'json'
            when known.typsubscript = 'array_subscript_handler'::regproc then 'list'
            when known.typtype = 'c' then 'map'
            when exists (
                select from pg_cast as conversion
                where conversion.castsource = known.oid and conversion.casttarget in ('json'::regtype, 'jsonb'::regtype)
            ) then 'json'
            else 'text'
        end,
        found.excluded
    from found
    join pg_type as known on known.oid = found.base and known.typtype <> 'd'
    order by found.content_type, found.attnum
$$;

comment on function jobhooks.logged_columns(text []) is
'The columns of watched tables, and how the log has their values';
