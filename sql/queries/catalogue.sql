-- Tables, jobs and hooks, as the command line lists and changes them.

-- name: set_lock_timeout
select set_config('lock_timeout', '500ms', true)

-- name: watch
select jobhooks.watch($1::text::regclass, $2, $3, $4)

-- name: unwatch
select jobhooks.unwatch($1::text::regclass)

-- name: watched_tables
select
    coalesce(jobhooks.table_name(relation), name),
    case when jobhooks.table_name(relation) is null then 'gone' when watched then 'watched' else 'not watched' end,
    key_columns
from jobhooks.content_type
order by 1

-- name: register_jobs
select jobhooks.register_jobs($1, $2)

-- name: jobs
select class_path, name, installed, enabled, description from jobhooks.job order by class_path

-- name: enable_job
select jobhooks.enable_job($1, $2)

-- name: add_hook
select jobhooks.add_hook($1, $2, $3, $4, $5)

-- name: hooks
select
    hook.name,
    array(
        select coalesce(jobhooks.table_name(content_type.relation), content_type.name)
        from jobhooks.job_hook_content_type as link
        join jobhooks.content_type as content_type on content_type.id = link.content_type_id
        where link.job_hook_id = hook.id
        order by 1
    ),
    hook.events::text [],
    job.class_path,
    hook.enabled,
    hook.enabled and job.installed and job.enabled
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
order by hook.name
