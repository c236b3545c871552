-- jobhooks.configuration_version(): a value that changes with hooks, jobs and watched tables.
--
-- Two parts: the number that note_configuration counts, and one that changes when a watched table or its schema is altered,
-- renamed or moved, which fires no trigger. Every read of a page computes it, so it takes 20 microseconds: it keeps its
-- plan, where a function in the language sql would be planned at each call, and looks each table up separately, where a join
-- would scan all of pg_class.
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
'A value that changes with hooks, jobs and watched tables';
