-- jobhooks.problems_of_tables(): watched tables that were dropped or replaced, and unwatched tables that inherit from watched
-- ones.
create or replace function jobhooks.problems_of_tables()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'warning', watched.name, 'the table was dropped, so its changes are not captured',
        format('jobhooks table watch %s after it is created again, or jobhooks table unwatch %1$s', watched.name)
    from jobhooks.content_type as watched
    where watched.watched and not exists (select from pg_class where oid = watched.relation)
    union all
    select
        'error', jobhooks.table_name(restored.relation),
        concat(
            'its triggers came with a dump: its changes are recorded as those of ', coalesce(
                (
                    select coalesce(jobhooks.table_name(other.relation), other.name)
                    from jobhooks.content_type as other
                    where other.id = restored.content_type_id and other.relation <> restored.relation
                ), 'a table that is not watched'
            )
        ),
        'jobhooks install'
    from jobhooks.restored_triggers() as restored
    union all
    -- A view under the former name writes to the watched table.
    select
        'error', watched.name,
        format(
            'another table has this name now, and its changes are not captured: what was watched is called %s, and hooks follow it',
            jobhooks.table_name(watched.relation)
        ),
        format(
            'jobhooks table watch %s --instead-of %s, or, if the former table is the one to watch: jobhooks table watch %2$s',
            watched.name, jobhooks.table_name(watched.relation)
        )
    from jobhooks.content_type as watched
    -- By the catalogue, since to_regclass fails for a role that may not use the schema.
    join pg_class as other on other.relkind in ('r', 'p') and other.oid <> watched.relation
    join pg_namespace as namespace
        on namespace.oid = other.relnamespace and format('%I.%I', namespace.nspname, other.relname) = watched.name
    where watched.watched and exists (select from pg_class where oid = watched.relation)
        and not exists (select from jobhooks.content_type as own where own.relation = other.oid and own.watched)
    union all (
        with recursive child as (
            select watched.relation as parent, pg_inherits.inhrelid as relid
            from jobhooks.content_type as watched
            join pg_inherits on pg_inherits.inhparent = watched.relation
            where watched.watched
            union
            select child.parent, pg_inherits.inhrelid
            from child
            join pg_inherits on pg_inherits.inhparent = child.relid
        )

        select
            'warning', jobhooks.table_name(child.parent),
            format(
                '%s inherits from it and is not watched, so changes of its rows are not captured', jobhooks.table_name(child.relid)
            ),
            format('jobhooks table watch %s', jobhooks.table_name(child.relid))
        from child
        join pg_class as class on class.oid = child.relid and class.relkind = 'r' and not class.relispartition
        where not exists (
            select from jobhooks.content_type as other where other.relation = child.relid and other.watched
        )
    )
$$;

comment on function jobhooks.problems_of_tables() is
'Watched tables that were dropped or replaced, and unwatched tables that inherit from watched ones';
