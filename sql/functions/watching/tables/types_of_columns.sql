-- jobhooks.types_of_columns(relation, columns): the types whose values the json of these columns contains; of all columns by default.
--
-- Those of the columns, and inside them: of elements, ranges, fields and domains.
create or replace function jobhooks.types_of_columns(relation regclass, columns text [] default null)
returns setof oid
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive column_type (oid) as (
        select atttypid from pg_attribute
        where attrelid = relation and (columns is null or attname = any (columns)) and attnum > 0 and not attisdropped
        union
        select part.oid
        from column_type
        join pg_type as type on type.oid = column_type.oid
        cross join lateral (
            select type.typbasetype where type.typtype = 'd'
            union all
            select type.typelem where type.typelem <> 0
            union all
            select rngsubtype from pg_range where column_type.oid in (rngtypid, rngmultitypid)
            union all
            select atttypid from pg_attribute where attrelid = nullif(type.typrelid, 0) and attnum > 0 and not attisdropped
        ) as part (oid)
    )

    select oid from column_type
$$;

comment on function jobhooks.types_of_columns(regclass, text []) is
'The types whose values the json of these columns contains; of all columns by default';
