-- jobhooks.configuration_version(): what tells that hooks, jobs or watched tables are not what they were.
--
-- Two parts: the number that note_configuration counts, and one that changes when a watched table or its schema is altered,
-- renamed or moved, of which no trigger is told. It is asked with each page that is read, so it takes 20
-- microseconds: it keeps its plan, where a function in the language sql would be planned at each call, and looks each table up
-- by itself, where a join would go through all of pg_class.
create or replace function jobhooks.configuration_version()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return concat_ws(
        ':', (select version from jobhooks.configuration),
        (
            select
                sum(
                    (
                        select
                            class.xmin::text::bigint
                            + (select xmin::text::bigint from pg_namespace where oid = class.relnamespace)
                        from pg_class as class
                        where class.oid = content_type.relation
                    )
                )
            from jobhooks.content_type as content_type
        )
    );
end
$$;

comment on function jobhooks.configuration_version() is
'What tells that hooks, jobs or watched tables are not what they were';
