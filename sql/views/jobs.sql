-- jobhooks.jobs: the jobs with their effective settings: the receiver's, or an operator's override.
create or replace view jobhooks.jobs as
select
    job.class_path,
    in_force.settings ->> 'name' as name,
    in_force.settings ->> 'description' as description,
    job.installed,
    job.enabled,
    (in_force.settings ->> 'hidden')::boolean as hidden,
    in_force.settings ->> 'grouping' as grouping,
    in_force.settings,
    array(select jsonb_object_keys(job.overrides) order by 1) as overridden,
    job.id
from jobhooks.job as job
cross join lateral (select jobhooks.settings_of_job(job, job.overrides) as settings) as in_force;

comment on view jobhooks.jobs is 'The jobs with their effective settings: the receiver''s, or an operator''s override';
