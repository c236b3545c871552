-- jobhooks.settings_of_job(job, overrides): all effective settings of a job with these overrides.
--
-- A setting that the receiver does not state has the default of settings_of_jobs, so that jobs of an older program have new
-- settings. A receiver of single changes takes single changes, regardless of an overridden batch_size.
create or replace function jobhooks.settings_of_job(job jobhooks.job, overrides jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select (select jsonb_object_agg(known.setting, known.standard) from jobhooks.settings_of_jobs() as known)
        || jsonb_build_object('name', substring(job.class_path from '[^.]+$'))
        || job.settings
        || settings_of_job.overrides
        || case when job.settings ->> 'batch_size' is null then '{"batch_size": null}'::jsonb else '{}' end
$$;

comment on function jobhooks.settings_of_job(jobhooks.job, jsonb) is
'All effective settings of a job with these overrides';
