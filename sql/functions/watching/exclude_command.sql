-- jobhooks.exclude_command(content_type_id, columns): the command that watches a table again and excludes these columns as well.
create or replace function jobhooks.exclude_command(content_type_id integer, columns text [])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select concat(jobhooks.watch_command(content_type_id), string_agg(
        -- As a shell takes it.
        ' --exclude ' || case
            when name ~ '^[A-Za-z0-9_.-]+$' then name else '''' || replace(name, '''', '''\''''') || ''''
        end,
        ''
    ))
    from unnest(columns) as name
$$;

comment on function jobhooks.exclude_command(integer, text []) is
'The command that watches a table again and excludes these columns as well';
