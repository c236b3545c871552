-- Tables and jobs, as the command line lists and changes them.

-- name: set_lock_timeout
select set_config('lock_timeout', '500ms', true)

-- name: watch
select jobhooks.watch($1::text::regclass, $2, $3, $4, $5, $6)

-- name: unwatch
select jobhooks.unwatch($1::text::regclass)

-- name: unwatch_gone
update jobhooks.content_type
set watched = false
where name = $1 and watched and not exists (select from pg_class where oid = relation)
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
where id = $1

-- name: triggers_of_table
select jobhooks.table_name(relid), name, state
from jobhooks.live_triggers()
where content_type_id = $1
order by relid <> (select relation from jobhooks.content_type where id = $1), 1, 2

-- name: hooks_of_table
select hook.name, hook.events, hook.job, hook.runs
from jobhooks.hooks as hook
join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
where link.content_type_id = $1
order by hook.name

-- name: count_changes
-- Of a table, among the newest $2 of the log: how many, of how many; and which was the last.
select
    count(*) filter (where content_type_id = $1), count(*),
    max(id) filter (where content_type_id = $1), max(time) filter (where content_type_id = $1)
from (select id, time, content_type_id from jobhooks.object_change order by id desc limit $2) as newest

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
where relation = $1::bigint::oid

-- name: register_jobs
select jobhooks.register_jobs($1, $2)

-- name: jobs
select class_path, name, grouping, installed, enabled, hidden, description
from jobhooks.jobs
order by grouping, class_path

-- name: enable_job
select jobhooks.enable_job($1, $2)
