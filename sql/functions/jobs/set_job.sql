-- jobhooks.set_job(class_path, settings): override settings of a job's receiver, until jobhooks.reset_job.
--
-- settings: an object by the names of class Meta, such as {"max_attempts": 5, "time_limit": null, "order_by": ["site_id"]}. Columns of order_by must
-- be in the tables of its hooks.
-- jobhooks.jobs shows the effective settings.
create or replace function jobhooks.set_job(class_path text, settings jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown record;
begin
    update jobhooks.job as job
    set overrides = job.overrides || set_job.settings
    where job.class_path = set_job.class_path;
    if not found then
        perform jobhooks.refuse_unknown_job(class_path);
    end if;
    if set_job.settings ? 'order_by' then
        select hook.name as hook, missing, jobhooks.did_you_mean(
            missing, array(select known.name from jobhooks.recorded_columns(hook.id) as known)
        ) as nearest
        into unknown
        from jobhooks.job as job
        join jobhooks.job_hook as hook on hook.job_id = job.id
        cross join lateral jobhooks.unknown_ordering(hook.id) as missing
        where job.class_path = set_job.class_path
        order by hook.name
        limit 1;
        if found then
            raise exception 'cannot set job %: no table of its hook "%" records a column %', class_path, unknown.hook,
                unknown.missing || unknown.nearest
            using errcode = 'JH026', hint = 'order_by with a column that the tables of its hooks have';
        end if;
    end if;
end
$$;

comment on function jobhooks.set_job(text, jsonb) is
'Override settings of a job''s receiver, until jobhooks.reset_job';
