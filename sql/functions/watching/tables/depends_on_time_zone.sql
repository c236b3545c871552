-- jobhooks.depends_on_time_zone(relation, columns): whether the json of these columns can depend on the session's time zone:
-- if they contain a timestamptz, directly or in their elements, ranges, fields or domains.
create or replace function jobhooks.depends_on_time_zone(relation regclass, columns text [])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive column_type (oid) as (
        select atttypid from pg_attribute
        where attrelid = relation and attname = any (columns) and attnum > 0 and not attisdropped
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

    select exists (select from column_type where oid = 'timestamptz'::regtype)
$$;

comment on function jobhooks.depends_on_time_zone(regclass, text []) is
'Whether the json of these columns can depend on the session''s time zone';
