-- jobhooks.enable_job(class_path, enabled): enable or disable a job.
create or replace function jobhooks.enable_job(class_path text, enabled boolean default true)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.job as job
    set enabled = enable_job.enabled
    where job.class_path = enable_job.class_path;
    if not found then
        raise exception 'there is no job %', class_path || jobhooks.did_you_mean(
            class_path, array(select known.class_path from jobhooks.job as known)
        )
        using errcode = 'JH020', hint = 'jobhooks job list';
    end if;
end
$$;

comment on function jobhooks.enable_job(text, boolean) is 'Enable or disable a job';
