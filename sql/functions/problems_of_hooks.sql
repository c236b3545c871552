-- jobhooks.problems_of_hooks(): enabled job hooks that lead to no runs.
create or replace function jobhooks.problems_of_hooks()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when job.installed then 'warning' else 'error' end,
        format('hook "%s"', hook.name),
        case
            when job.installed then format('its job %s is not enabled, so that changes pass it by', job.class_path)
            else format('its job %s is not installed: no daemon found that receiver when it was last started', job.class_path)
        end,
        case
            when job.installed then format('jobhooks job enable %s', job.class_path)
            else 'put the receiver back and restart the daemon, or disable the hook'
        end
    from jobhooks.job_hook as hook
    join jobhooks.job as job on job.id = hook.job_id
    where hook.enabled and not (job.installed and job.enabled)
    union all
    select
        'warning', format('hook "%s"', hook.name),
        format('%s is not watched, so that no changes of it come', coalesce(jobhooks.table_name(known.relation), known.name)),
        jobhooks.watch_command(known.id)
    from jobhooks.job_hook as hook
    join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
    join jobhooks.content_type as known on known.id = link.content_type_id
    where hook.enabled and not known.watched
$$;

comment on function jobhooks.problems_of_hooks() is 'Enabled job hooks that lead to no runs';
