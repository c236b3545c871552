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
        perform jobhooks.refuse_unknown_job(class_path);
    end if;
end
$$;

comment on function jobhooks.enable_job(text, boolean) is 'Enable or disable a job';
