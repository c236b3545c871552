-- jobhooks.problems_of_partitions(): partitions attached or detached since a table was watched, which records no change.
create or replace function jobhooks.problems_of_partitions()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with watched as (
        select known.id, jobhooks.table_name(known.relation) as table_name, known.partitions as before, now.partitions as now
        from jobhooks.content_type as known
        cross join lateral (
            select array(
                select relid from jobhooks.watched_relations(known.relation) where relid <> known.relation
            ) as partitions
        ) as now
        where known.watched and exists (select from pg_class where oid = known.relation and relkind = 'p')
    ),

    moved as (
        select id, table_name, relid, true as has_come
        from watched cross join unnest(now) as relid where relid <> all (before)
        union all
        select id, table_name, relid, false
        from watched cross join unnest(before) as relid where relid <> all (now)
    ),

    named as (
        select
            id, table_name, has_come, count(*) as number, jobhooks.watch_command(id) as command,
            coalesce(
                array_to_string((array_agg(name order by name) filter (where name is not null))[1:4], ', '), 'dropped'
            ) as names
        from moved
        cross join lateral jobhooks.table_name(relid) as name
        group by id, table_name, has_come
    )

    select
        'warning', table_name,
        format(
            'partitions were attached since it was watched (%s: %s): TRUNCATE of one alone and the rows that it contained'
            ' are not captured', number, names
        ),
        command
    from named where has_come
    union all
    select
        'note', table_name,
        format('partitions were detached or dropped since it was watched (%s: %s): the loss of their rows was not captured', number, names),
        command || ' accepts the new state'
    from named where not has_come
    union all
    select
        'note', jobhooks.table_name(known.relation),
        'TRUNCATE of these foreign partitions alone is not captured: '
        || string_agg(jobhooks.table_name(part.relid), ', ' order by part.relid),
        'PostgreSQL 16 or newer, which has such triggers'
    from jobhooks.content_type as known
    cross join lateral jobhooks.watched_relations(known.relation) as part
    where known.watched and part.relkind = 'f' and current_setting('server_version_num')::integer < 160000
    group by known.id, known.relation
$$;

comment on function jobhooks.problems_of_partitions() is
'Partitions attached or detached since a table was watched, which records no change';
