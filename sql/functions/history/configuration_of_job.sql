-- jobhooks.configuration_of_job(job_id): a job, as it is recorded when it changes: all that is in its row.
create or replace function jobhooks.configuration_of_job(job_id integer)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select (to_jsonb(job) - array['id', 'created_at'])::json from jobhooks.job as job where job.id = configuration_of_job.job_id
$$;

comment on function jobhooks.configuration_of_job(integer) is
'A job, as it is recorded when it changes: all that is in its row';
