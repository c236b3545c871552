-- jobhooks.loaded_hooks: the job hooks as the engine has them in memory: their settings and the limits of their jobs.
create or replace view jobhooks.loaded_hooks as
select
    hook.id,
    hook.job_id,
    array(
        select content_type_id from jobhooks.job_hook_content_type where job_hook_id = hook.id
    ) as content_type_ids,
    hook.enabled_since::text as enabled_since,
    case when job.settings ->> 'queue' <> '' then (
        select min((other.settings ->> 'concurrency')::integer)
        from jobhooks.jobs as other
        where other.settings ->> 'queue' = job.settings ->> 'queue'
    ) end as queue_limit,
    hook.enabled and not hook.paused and job.enabled and job.installed and not exists (
        select from jobhooks.data_verdict as taken
        where taken.hook_id = hook.id and taken.job_id = hook.job_id and taken.data = hook.data and taken.error is not null
    ) as runs,
    jobhooks.configuration_of_hook(hook.id)::text as settings,
    job.settings::text as limits,
    hook.name,
    hook.enabled and job.enabled as active,
    jobhooks.children_of_hook(hook.id) as child_ids,
    (
        select verdict.error from jobhooks.condition_verdict as verdict
        where verdict.hook_id = hook.id and verdict.conditions = hook.conditions
    ) as refusal
from jobhooks.job_hook as hook
join jobhooks.jobs as job on job.id = hook.job_id;

comment on view jobhooks.loaded_hooks is
'The job hooks as the engine has them in memory: their settings and the limits of their jobs';
