-- jobhooks.depends_on_names(relation): whether the json of its rows has names or amounts that a session's search_path,
-- quote_all_identifiers or lc_monetary change: if it contains regclass or the like, or money, directly or in elements, ranges,
-- fields or domains.
create or replace function jobhooks.depends_on_names(relation regclass)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive column_type (oid) as (
        select atttypid from pg_attribute where attrelid = relation and attnum > 0 and not attisdropped
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

    select exists (
        select from column_type
        where oid in (
            'regclass'::regtype, 'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype,
            'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regrole'::regtype,
            'regtype'::regtype, 'money'::regtype
        ) or oid = to_regtype('regdatabase') -- from PostgreSQL 19 on
    )
$$;

comment on function jobhooks.depends_on_names(regclass) is
'Whether the json of its rows has names or amounts that a session''s settings change';
