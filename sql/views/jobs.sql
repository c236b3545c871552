-- jobhooks.jobs: the jobs with their effective settings: the receiver's, or an operator's override.
--
-- loaded: whether the daemon that leads has loaded the receiver, from where, and which version; null if no daemon leads.
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
    job.id,
    case when daemon.has_loaded then loaded.class_path is not null end as loaded,
    case when daemon.has_loaded then loaded.path || coalesce(':' || loaded.line, '') end as loaded_from,
    case when daemon.has_loaded then left(loaded.source_hash, 12) end as version,
    case when daemon.has_loaded then loaded.package end as package
from jobhooks.job as job
cross join (select jobhooks.has_loaded() as has_loaded) as daemon
left join jobhooks.loaded_receiver as loaded on loaded.class_path = job.class_path
cross join lateral (select jobhooks.settings_of_job(job, job.overrides) as settings) as in_force;

comment on view jobhooks.jobs is 'The jobs with their effective settings: the receiver''s, or an operator''s override';
