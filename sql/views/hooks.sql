-- jobhooks.hooks: the job hooks, and whether changes lead to runs now: both switches, the hook's and the job's, count.
create or replace view jobhooks.hooks as
select
    hook.name,
    array(
        select coalesce(jobhooks.table_name(content_type.relation), content_type.name)
        from jobhooks.job_hook_content_type as link
        join jobhooks.content_type as content_type on content_type.id = link.content_type_id
        where link.job_hook_id = hook.id
        order by 1
    ) as content_types,
    hook.events::text [] as events,
    job.class_path as job,
    hook.enabled,
    hook.enabled and job.installed and job.enabled as runs,
    hook.description,
    hook.id,
    hook.priority,
    hook.columns,
    hook.conditions,
    hook.coalesce_s,
    nullif(concat_ws(
        '; ',
        case when not hook.enabled then 'it is not enabled' end,
        case when failure.invalid then format('its conditions are none: %s', failure.error) end,
        case when not job.installed then format('its job %s is not installed: no daemon finds its receiver', job.class_path) end,
        case when not job.enabled then format('its job %1$s is not enabled: jobhooks job enable %1$s', job.class_path) end,
        (
            select string_agg(
                coalesce(jobhooks.table_name(content_type.relation), content_type.name)
                || case
                    when jobhooks.table_name(content_type.relation) is null then ' is gone' else ' is not watched'
                end,
                '; ' order by content_type.id
            )
            from jobhooks.job_hook_content_type as link
            join jobhooks.content_type as content_type on content_type.id = link.content_type_id
            where link.job_hook_id = hook.id
                and not (content_type.watched and jobhooks.table_name(content_type.relation) is not null)
        )
    ), '') as why_not,
    coalesce(failure.failures, 0) as condition_failures,
    failure.error as condition_error,
    jobhooks.configuration_of_hook(hook.id) as settings
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
left join jobhooks.condition_failure as failure on failure.hook_id = hook.id;

comment on view jobhooks.hooks is 'The job hooks, and whether changes lead to runs now';
