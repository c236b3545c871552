-- Tables and jobs, as the command line lists and changes them.

-- name: set_lock_timeout
select set_config('lock_timeout', '500ms', true)

-- name: watch
select jobhooks.watch(
    :table::text::regclass, :key_columns, :keyless, :always, :exclude, :ignore, :allow_casts, :keep_lastval, :parents::text::json
)

-- name: watch_instead
select jobhooks.watch_instead(:table::text::regclass, :former::text::regclass)

-- name: watch_as_before
select jobhooks.watch_as_before(:table::text::regclass)

-- name: secrets_in_log
-- The columns of a watched table that look like secrets and are not excluded, and the command that excludes them.
select string_agg(secret, ', '), jobhooks.exclude_command(id, array_agg(secret))
from jobhooks.content_type
cross join unnest(jobhooks.secret_columns(relation)) as secret
where relation = :table::text::regclass and secret <> all (exclude) and secret <> all (key_columns)
group by id

-- name: unwatch
select jobhooks.unwatch(:table::text::regclass)

-- name: unwatch_gone
update jobhooks.content_type
set watched = false
where name = :table and watched and not exists (select from pg_class where oid = relation)
returning id

-- name: watched_tables
select
    coalesce(jobhooks.table_name(relation), name),
    case when jobhooks.table_name(relation) is null then 'gone' when watched then 'watched' else 'not watched' end,
    key_columns, always, keep_lastval, exclude, ignore, jobhooks.parents_of(id)
from jobhooks.content_type
order by 1

-- name: watched_table
select
    coalesce(jobhooks.table_name(relation), name),
    case when jobhooks.table_name(relation) is null then 'gone' when watched then 'watched' else 'not watched' end,
    key_columns, always, keep_lastval, exclude, ignore, jobhooks.parents_of(id)
from jobhooks.content_type
where id = :content_type_id

-- name: triggers_of_table
select jobhooks.table_name(relid), name, state
from jobhooks.live_triggers()
where content_type_id = :content_type_id
order by relid <> (select relation from jobhooks.content_type where id = :content_type_id), 1, 2

-- name: hooks_of_table
select hook.name, hook.events, hook.job, hook.runs, hook.why_not
from jobhooks.hooks as hook
join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
where link.content_type_id = :content_type_id
order by hook.name

-- name: count_changes
-- Counts a table's changes among the newest of the log, and finds its last one.
select
    count(*) filter (where content_type_id = :content_type_id), count(*),
    max(id) filter (where content_type_id = :content_type_id), max(time) filter (where content_type_id = :content_type_id)
from (select id, time, content_type_id from jobhooks.object_change order by id desc limit :limit) as newest

-- name: outdated_tables
-- Watched tables whose triggers an earlier version created, or that have changed in a way that needs other triggers.
select relation::oid::bigint as relation, jobhooks.table_name(relation) as name
from jobhooks.content_type as content_type
where watched
    and exists (select from pg_class where oid = content_type.relation)
    and triggers <> array(select jobhooks.trigger_statements(content_type.id))
order by id

-- name: watch_again
select jobhooks.watch(relation, key_columns, key_columns = '{}', always, exclude, ignore, keep_lastval => keep_lastval, parents => null)
from jobhooks.content_type
where relation = :relation::bigint::oid

-- name: register_jobs
select jobhooks.register_jobs(:found, :complete)

-- name: add_jobs
select jobhooks.add_jobs(:found)

-- name: record_receivers
select jobhooks.record_receivers(:leader, :loaded::text::json)

-- name: jobs
select class_path, name, grouping, installed, enabled, hidden, description, loaded, loaded_from, version, package
from jobhooks.jobs
order by grouping, class_path

-- name: enable_job
select jobhooks.enable_job(:class_path, :enabled)

-- name: delete_job
select jobhooks.delete_job(:class_path)

-- name: explained_triggers
-- Each trigger of a watched table and its partitions: its text, and the functions of jobhooks in it. The text is null if the
-- trigger is missing.
select
    jobhooks.table_name(live.relid), live.name, live.state, definition.text,
    array(
        select distinct match[1]
        from regexp_matches(definition.text, '(jobhooks_capture\.\w+|jobhooks\.capture_change)\(', 'g') as match
        order by 1
    )
from jobhooks.live_triggers() as live
left join pg_trigger as trigger on trigger.tgrelid = live.relid and trigger.tgname = live.name
cross join lateral pg_get_triggerdef(trigger.oid) as definition (text)
where live.content_type_id = :content_type_id
order by live.relid <> (select relation from jobhooks.content_type where id = :content_type_id), 1, 2

-- name: explained_functions
-- These functions and those that they call, with their owner and rights. The search path is null if it is not pinned.
with recursive called as (
    select function.oid, function.prosrc
    from pg_proc as function
    join pg_namespace as namespace on namespace.oid = function.pronamespace
    where namespace.nspname || '.' || function.proname = any (:names::text [])
    union
    select function.oid, function.prosrc
    from called
    cross join lateral regexp_matches(called.prosrc, '(jobhooks(?:_capture)?)\.(\w+)\(', 'g') as match
    join pg_namespace as namespace on namespace.nspname = match[1]
    join pg_proc as function on function.pronamespace = namespace.oid and function.proname = match[2]
)

select
    function.oid::regprocedure::text, function.proowner::regrole::text, function.prosecdef,
    (select split_part(setting, '=', 2) from unnest(function.proconfig) as setting where starts_with(setting, 'search_path=')),
    has_function_privilege('public', function.oid, 'execute')
from called
join pg_proc as function on function.oid = called.oid
order by 1

-- name: remaining_triggers
select tgrelid::regclass, tgname
from pg_trigger
where tgfoid in (select oid from pg_proc where pronamespace::regnamespace::text in ('jobhooks', 'jobhooks_capture'))
    and tgrelid in (select relid from jobhooks.watched_relations(:table))

-- name: tables_to_watch
-- The tables of this database that can be watched, judging by their names and kinds, with how each is or was watched. The root is
-- that of a partition. The columns of former are null for a table that never was watched.
select
    format('%I.%I', namespace.nspname, class.relname), namespace.nspname::text, class.relname::text,
    pg_table_is_visible(class.oid),
    exists (select from pg_depend where classid = 'pg_class'::regclass and objid = class.oid and deptype = 'e'),
    case when class.relispartition then jobhooks.table_name(pg_partition_root(class.oid)) end,
    jobhooks.primary_key(class.oid),
    array(select attname::text from pg_attribute where attrelid = class.oid and attnum > 0 and not attisdropped),
    former.watched and former.relation = class.oid, former.key_columns, former.always, former.keep_lastval, former.exclude,
    former.ignore, jobhooks.parents_of(former.id)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
left join lateral (
    select *
    from jobhooks.content_type as known
    where known.relation = class.oid or known.name = format('%I.%I', namespace.nspname, class.relname)
    order by known.relation = class.oid desc, known.id desc
    limit 1
) as former on true
where class.relkind in ('r', 'p') and class.relpersistence <> 't'
    and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
order by 1

-- name: dropped_tables_called
-- Watched tables that were dropped, if a name without a schema meant one of them and means another table now. See tables_called.
select known.name
from jobhooks.content_type as known
where known.watched and known.name <> :found::text
    and exists (
        select from pg_class as class join pg_namespace as namespace on namespace.oid = class.relnamespace
        where format('%I.%I', namespace.nspname, class.relname) = :found
    )
    and not exists (select from pg_class where oid = known.relation)
    and array[(parse_ident(known.name))[2]] = case
        when :name::text ~ '^\s*(([A-Za-z_]|[^\x01-\x7f])([A-Za-z0-9_$]|[^\x01-\x7f])*|"([^"]|"")+")\s*$' then parse_ident(:name::text)
        else array[:name::text]
    end
order by 1
limit 1

-- name: set_parents
select jobhooks.set_parents(id, :parents::text::json) from jobhooks.content_type where relation = :table::text::regclass

-- name: check_watchable
select jobhooks.check_watchable(:table::text::regclass, :key_columns, :exclude, :ignore)

-- name: pretend_to_watch
-- For a trial that is rolled back: the row that hooks need of a watched table, without a lock on it.
insert into jobhooks.content_type as content_type (relation, name, key_columns, exclude, ignore)
values (:table::text::regclass, :table, :key_columns, :exclude, :ignore)
on conflict on constraint content_type_relation_key do update
set key_columns = excluded.key_columns, exclude = excluded.exclude, ignore = excluded.ignore, watched = true
