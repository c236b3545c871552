-- jobhooks.set_job(class_path, settings): override settings of a job's receiver, until jobhooks.reset_job.
--
-- settings: an object by the names of class Meta, such as {"max_attempts": 5, "time_limit": null, "order_by": ["site_id"]}.
-- jobhooks.jobs shows the effective settings.
create or replace function jobhooks.set_job(class_path text, settings jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.job as job
    set overrides = job.overrides || set_job.settings
    where job.class_path = set_job.class_path;
    if not found then
        perform jobhooks.refuse_unknown_job(class_path);
    end if;
end
$$;

comment on function jobhooks.set_job(text, jsonb) is
'Override settings of a job''s receiver, until jobhooks.reset_job';
