-- jobhooks.configuration_version(): what tells that hooks, jobs or watched tables are not what they were.
--
-- Two parts: the number that note_configuration counts, and one that changes when a watched table or its schema is altered,
-- renamed or moved, of which no trigger is told.
create or replace function jobhooks.configuration_version()
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(
        ':', (select version from jobhooks.configuration),
        (
            select sum(class.xmin::text::bigint + namespace.xmin::text::bigint)
            from jobhooks.content_type as content_type
            join pg_class as class on class.oid = content_type.relation
            join pg_namespace as namespace on namespace.oid = class.relnamespace
        )
    )
$$;

comment on function jobhooks.configuration_version() is
'What tells that hooks, jobs or watched tables are not what they were';
