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
    hook.id
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id;

comment on view jobhooks.hooks is 'The job hooks, and whether changes lead to runs now';
