-- jobhooks.problems_of_wide_rows(): tables with rows so wide that their capture takes seconds, by the newest changes of the log.
--
-- Sizes as stored, which are read without the values. The column to exclude is the widest one by the table's statistics.
create or replace function jobhooks.problems_of_wide_rows()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with newest as (
        select content_type_id, greatest(pg_column_size(prechange), pg_column_size(postchange)) as bytes,
            coalesce(starts_with(context ->> 'snapshot_error', '54000'), false) as left_out
        from jobhooks.object_change
        order by id desc
        limit 10000
    ),

    wide as (
        select content_type_id, count(*) as number, count(*) filter (where left_out) as left_out
        from newest
        where left_out or bytes > 10000000
        group by content_type_id
    )

    select
        'warning', jobhooks.table_name(known.relation),
        case
            when wide.left_out > 0 then format(
                '%s of the newest changes have rows of over 500 MB as json, so they have only the key; each write to such a '
                'row reads its stored values, which takes seconds if they are not compressed', wide.left_out
            )
            else format('%s of the newest changes have rows of over 10 MB, which take seconds to capture', wide.number)
        end,
        jobhooks.exclude_command(known.id, array[coalesce((
            select statistics.attname::text
            from pg_stats as statistics
            join pg_class as class on class.oid = known.relation and class.relname = statistics.tablename
            join pg_namespace as namespace
                on namespace.oid = class.relnamespace and namespace.nspname = statistics.schemaname
            where statistics.avg_width > 1000 and statistics.attname <> all (known.exclude)
            order by statistics.avg_width desc
            limit 1
        ), 'COLUMN')])
    from wide
    join jobhooks.content_type as known on known.id = wide.content_type_id
    where known.watched and exists (select from pg_class where oid = known.relation)
$$;

comment on function jobhooks.problems_of_wide_rows() is
'Tables with rows so wide that their capture takes seconds, by the newest changes of the log';
