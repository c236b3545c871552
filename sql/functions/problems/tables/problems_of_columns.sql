-- jobhooks.problems_of_columns(): columns of watched tables whose options have no effect, that can fail a writer, or that look
-- like secrets.
create or replace function jobhooks.problems_of_columns()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with watched as (
        select known.*, jobhooks.table_name(known.relation) as table_name
        from jobhooks.content_type as known
        where known.watched and exists (select from pg_class where oid = known.relation)
    ),

    gone as (
        select watched.id, watched.table_name, asked.what, string_agg(asked.name, ', ' order by asked.name) as names
        from watched
        cross join lateral (
            select 'exclude' as what, unnest(watched.exclude) as name
            union all
            select 'ignore', unnest(watched.ignore)
        ) as asked
        where not exists (
            select from pg_attribute
            where attrelid = watched.relation and attname = asked.name and attnum > 0 and not attisdropped
        )
        group by watched.id, watched.table_name, asked.what
    )

    select
        'error', table_name,
        case what
            when 'exclude' then format(
                'its excluded column %s no longer exists. It may have another name now, so changes are recorded with their'
                ' keys only', names
            )
            else format('its ignored column %s no longer exists', names)
        end,
        jobhooks.watch_command(id) || format(' --%s NEW_NAME (or without that, if the column was dropped)', what)
    from gone
    union all
    select
        'note', watched.table_name,
        format(
            'its virtual columns (%s) are computed for each written row: if that fails, the write fails',
            string_agg(attribute.attname, ', ' order by attribute.attnum)
        ),
        'make sure that their expressions cannot fail, or make them stored'
    from watched
    join pg_attribute as attribute
        on attribute.attrelid = watched.relation and attribute.attgenerated = 'v' and not attribute.attisdropped
    group by watched.id, watched.table_name
    union all
    select
        'note', watched.table_name,
        case when is_key
            then format('its key column %s looks like a secret, and each change records the key', array_to_string(secret.names, ', '))
            else format('the log records columns that look like secrets: %s', array_to_string(secret.names, ', '))
        end,
        case when is_key
            then 'name another key with --key, and exclude this column'
            else jobhooks.exclude_command(watched.id, secret.names)
        end
    from watched
    cross join lateral (
        select name = any (watched.key_columns) as is_key, array_agg(name) as names
        from unnest(jobhooks.secret_columns(watched.relation)) as name
        where name <> all (watched.exclude)
        group by 1
    ) as secret
$$;

comment on function jobhooks.problems_of_columns() is
'Columns of watched tables whose options have no effect, that can fail a writer, or that look like secrets';
