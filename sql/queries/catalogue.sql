-- Tables and jobs, as the command line lists and changes them.

-- name: set_lock_timeout
select set_config('lock_timeout', '500ms', true)

-- name: watch
select jobhooks.watch(:table::text::regclass, :key_columns, :keyless, :always, :exclude, :ignore)

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
    key_columns, always, exclude, ignore
from jobhooks.content_type
order by 1

-- name: watched_table
select
    coalesce(jobhooks.table_name(relation), name),
    case when jobhooks.table_name(relation) is null then 'gone' when watched then 'watched' else 'not watched' end,
    key_columns, always, exclude, ignore
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
-- Those whose triggers an earlier version made, or that have changed in a way that the triggers should know of.
select relation::oid::bigint as relation, jobhooks.table_name(relation) as name
from jobhooks.content_type as content_type
where watched
    and exists (select from pg_class where oid = content_type.relation)
    and triggers <> array(select jobhooks.trigger_statements(content_type.id))
order by id

-- name: watch_again
select jobhooks.watch(relation, key_columns, key_columns = '{}', always, exclude, ignore)
from jobhooks.content_type
where relation = :relation::bigint::oid

-- name: register_jobs
select jobhooks.register_jobs(:found, :complete)

-- name: jobs
select class_path, name, grouping, installed, enabled, hidden, description
from jobhooks.jobs
order by grouping, class_path

-- name: enable_job
select jobhooks.enable_job(:class_path, :enabled)
