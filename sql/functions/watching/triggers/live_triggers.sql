-- jobhooks.live_triggers(): the triggers of the watched tables, on each partition, and the state of each.
--
-- state: enabled, always, disabled, replica or missing. All triggers of an earlier version count as one.
create or replace function jobhooks.live_triggers()
returns table (content_type_id integer, relid oid, name text, state text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with watched as (
        select known.id, known.relation, known.partitions, trigger_names.name
        from jobhooks.content_type as known
        cross join lateral (
            select distinct substring(statement from '"([^"]+)"') as name from unnest(known.triggers) as statement
        ) as trigger_names
        where known.watched
    ),

    own as (
        select trigger.*
        from pg_trigger as trigger
        join pg_proc as function on function.oid = trigger.tgfoid
        join pg_namespace as namespace on namespace.oid = function.pronamespace
        where namespace.nspname in ('jobhooks', 'jobhooks_capture')
    )

    -- A row trigger is on every partition, wherever it came from; a statement trigger where it was made.
    select
        watched.id, part.relid, watched.name,
        case own.tgenabled
            when 'O' then 'enabled' when 'A' then 'always' when 'D' then 'disabled' when 'R' then 'replica' else 'missing'
        end
    from watched
    cross join lateral jobhooks.watched_relations(watched.relation) as part
    left join own on own.tgrelid = part.relid and own.tgname = watched.name
    where watched.name !~ '_(truncate|end)$'
        or ((part.relid = watched.relation or part.relid = any (watched.partitions))
            and (part.relkind = 'p' or watched.name !~ '_end$')
            and (part.relkind <> 'f' or current_setting('server_version_num')::integer >= 160000))
    union all
    select known.id, known.relation, '!jobhooks', 'missing'
    from jobhooks.content_type as known
    where known.watched
        and known.triggers = '{}'
        and exists (select from pg_class where oid = known.relation)
        and not exists (select from own where own.tgrelid = known.relation)
$$;

comment on function jobhooks.live_triggers() is
'The triggers of the watched tables, on each partition, and the state of each';
