-- jobhooks.problems_of_triggers(): triggers of watched tables that are missing, disabled, outdated or outrun.
create or replace function jobhooks.problems_of_triggers()
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

    wrong as (
        select
            watched.id, watched.table_name,
            case
                when live.state in ('missing', 'disabled') then live.state || ', so some of its changes are not captured'
                when live.state = 'replica' then 'for replicated rows only, so other changes are not captured'
                when watched.always and live.state = 'enabled' then 'not for rows that logical replication applies, although --always was given'
                when not watched.always and live.state = 'always'
                    then 'also for rows that logical replication applies, although --always was not given'
            end as how,
            live.state = 'always' as is_harmless,
            format('%s on %s', live.name, jobhooks.table_name(live.relid)) as name
        from watched
        join jobhooks.live_triggers() as live on live.content_type_id = watched.id
    )

    select
        case when is_harmless then 'warning' else 'error' end, table_name,
        format(
            '%s of its triggers %s: %s%s', count(*), case count(*) when 1 then 'is' else 'are' end || ' ' || how,
            array_to_string((array_agg(name order by name))[1:4], ', '), case when count(*) > 4 then ', ...' else '' end
        ),
        jobhooks.watch_command(id)
    from wrong
    where how is not null
    group by id, table_name, how, is_harmless
    union all
    -- By the current names of the table and its partitions: a rename does not matter.
    select
        'warning', table_name, 'its triggers are outdated: the table or jobhooks has changed since',
        jobhooks.watch_command(id)
    from watched
    -- An INSERT that keeps lastval() although the column with the sequence is gone does no harm.
    cross join lateral (
        select case
            when keep_lastval is null and triggers::text ~ 'lastval_to_keep' and not jobhooks.is_filled_by_sequence(relation)
                then '_create" after insert '
            else '^$'
        end
        offset 0 -- once for each table, not for each statement
    ) as harmless (pattern)
    where array(
            select distinct jobhooks.without_table(made) from unnest(triggers) as made where made !~ pattern order by 1
        ) <> array(
            select distinct jobhooks.without_table(wanted)
            from jobhooks.trigger_statements(id) as wanted where wanted !~ pattern order by 1
        )
    union all
    select
        'warning', watched.table_name,
        format(
            'the trigger %I on %s fires after "~jobhooks_%s_before": if it cancels an update, a delete and a create of'
            ' one later statement can be captured as one update', other.tgname, jobhooks.table_name(other.tgrelid), watched.id
        ),
        format('alter trigger %I on %s rename to a name that sorts before it', other.tgname, jobhooks.table_name(other.tgrelid))
    from watched
    join pg_class as class on class.oid = watched.relation and class.relkind = 'p'
    cross join lateral jobhooks.watched_relations(watched.relation) as part
    join pg_trigger as other on other.tgrelid = part.relid
    where not other.tgisinternal
        and other.tgparentid = 0
        and other.tgtype & 19 = 19 -- row, before, update
        and other.tgname::text collate "C" > format('~jobhooks_%s_before', watched.id) collate "C"
$$;

comment on function jobhooks.problems_of_triggers() is
'Triggers of watched tables that are missing, disabled, outdated or outrun';
