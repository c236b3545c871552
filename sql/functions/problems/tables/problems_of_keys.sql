-- jobhooks.problems_of_keys(): keys of watched tables that do not identify a row, or no longer do.
create or replace function jobhooks.problems_of_keys()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with watched as (
        select
            known.id, jobhooks.table_name(known.relation) as table_name, known.key_columns,
            array(
                select column_name from unnest(known.key_columns) as column_name
                where not exists (
                    select from pg_attribute
                    where attrelid = known.relation and attname = column_name and attnum > 0 and not attisdropped
                )
            ) as gone,
            identity.is_unique, identity.is_known, identity.is_immediate
        from jobhooks.content_type as known
        cross join lateral (
            -- Whether some unique index covers only key columns, and whether one of them has only not-null columns.
            select count(*) > 0 as is_unique, coalesce(bool_or(indexed.never_null), false) as is_known,
                coalesce(bool_or(index.indimmediate), false) as is_immediate
            from pg_index as index
            cross join lateral (
                select
                    bool_and(coalesce(attribute.attname = any (known.key_columns), false)) as in_key,
                    bool_and(coalesce(attribute.attnotnull, false)) as never_null
                from unnest(index.indkey::int2 []) with ordinality as key (attnum, position)
                left join pg_attribute as attribute on attribute.attrelid = index.indrelid and attribute.attnum = key.attnum
                where key.position <= index.indnkeyatts
            ) as indexed
            where index.indrelid = known.relation
                and index.indisunique and index.indisvalid and index.indpred is null and indexed.in_key
        ) as identity
        where known.watched and known.key_columns <> '{}' and exists (select from pg_class where oid = known.relation)
    )

    select
        'error', table_name,
        format('its key column %s was dropped or renamed, so its changes identify no object', array_to_string(gone, ', ')),
        jobhooks.watch_command(id)
    from watched where gone <> '{}'
    union all
    select
        'warning', table_name,
        case
            when is_unique
                then format('its key %s may be null, and null identifies no row', array_to_string(key_columns, ', '))
            else format(
                'its key %s is not unique, so changes of several rows can count as changes of one',
                array_to_string(key_columns, ', ')
            )
        end,
        case
            when is_unique then 'make these columns not null, or name others with --key'
            else 'make these columns unique, or name others with --key'
        end
    from watched where gone = '{}' and not is_known
    union all
    select
        'warning', table_name,
        format(
            'its key %s is deferrable: if one transaction writes a row and another deletes the former row with that key, the'
            ' create can be recorded and delivered before the delete', array_to_string(key_columns, ', ')
        ),
        'make the constraint not deferrable, if nothing depends on it'
    from watched where gone = '{}' and is_known and not is_immediate
$$;

comment on function jobhooks.problems_of_keys() is 'Keys of watched tables that do not identify a row, or not any more';
