-- jobhooks.depends_on_names(relation): whether the json of its rows has names or amounts that a session's search_path,
-- quote_all_identifiers or lc_monetary change: if it contains regclass or the like, or money.
create or replace function jobhooks.depends_on_names(relation regclass)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from jobhooks.types_of_columns(relation) as type (oid)
        where oid in (
            'regclass'::regtype, 'regcollation'::regtype, 'regconfig'::regtype, 'regdictionary'::regtype, 'regnamespace'::regtype,
            'regoper'::regtype, 'regoperator'::regtype, 'regproc'::regtype, 'regprocedure'::regtype, 'regrole'::regtype,
            'regtype'::regtype, 'money'::regtype
        ) or oid = to_regtype('regdatabase') -- from PostgreSQL 19 on
    )
$$;

comment on function jobhooks.depends_on_names(regclass) is
'Whether the json of its rows has names or amounts that a session''s settings change';
