-- jobhooks.configuration_of_job(job_id): a job as it is recorded when it changes: its switches, overrides and own settings.
create or replace function jobhooks.configuration_of_job(job_id integer)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select (
        job.settings || jsonb_build_object(
            'class_path', job.class_path, 'installed', job.installed, 'enabled', job.enabled, 'overrides', job.overrides
        )
    )::json
    from jobhooks.job as job
    where job.id = configuration_of_job.job_id
$$;

comment on function jobhooks.configuration_of_job(integer) is
'A job as it is recorded when it changes: its switches, overrides and own settings';
