-- jobhooks.watch_command(content_type_id): the command that watches a table again with the same options.
--
-- If a column of the key is gone and there is no primary key, it has COLUMN for a person to fill in.
create or replace function jobhooks.watch_command(content_type_id integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with watched as (
        select
            known.*,
            jobhooks.primary_key(known.relation) as primary_key,
            array(
                select attname::text from pg_attribute
                where attrelid = known.relation and attnum > 0 and not attisdropped
            ) as columns
        from jobhooks.content_type as known
        where known.id = watch_command.content_type_id
    ),

    word (position, text) as (
        select 0, unnest(array['jobhooks', 'table', 'watch', coalesce(jobhooks.table_name(relation), name)]) from watched
        union all
        select 1, '--keyless' from watched where key_columns = '{}'
        union all
        select 2, unnest(array['--key', column_name])
        from watched
        cross join unnest(case when key_columns <@ columns then key_columns else '{COLUMN}' end) as column_name
        where key_columns is distinct from primary_key and (key_columns <@ columns or primary_key is null)
        union all
        select 3, '--always' from watched where always
        union all
        select 3, case when keep_lastval then '--keep-lastval' else '--no-keep-lastval' end
        from watched where keep_lastval is not null
        union all
        select 4, unnest(array['--exclude', column_name])
        from watched cross join unnest(exclude) as column_name where column_name = any (columns)
        union all
        select 5, unnest(array['--ignore', column_name])
        from watched cross join unnest(ignore) as column_name where column_name = any (columns)
        union all
        select 6, unnest(array['--parent', parent]) from watched cross join unnest(jobhooks.parents_of(id)) as parent
    )

    select string_agg(
        -- As a shell takes it.
        case when text ~ '^[A-Za-z0-9_.,=-]+$' then text else '''' || replace(text, '''', '''\''''') || '''' end,
        ' '
        order by position, ordinal
    )
    from (select position, text, row_number() over () as ordinal from word) as numbered
$$;

comment on function jobhooks.watch_command(integer) is 'The command that watches a table again with the same options';
