-- jobhooks.set_job(class_path, settings): say something of a job instead of its receiver, until jobhooks.reset_job.
--
-- settings: an object by the names of class Meta, such as {"max_attempts": 5, "time_limit": null, "order_by": ["site_id"]}.
-- jobhooks.jobs has what is in force.
create or replace function jobhooks.set_job(class_path text, settings jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown constant text := (
        select string_agg(key, ', ' order by key)
        from jsonb_object_keys(settings) as key
        where not exists (select from jobhooks.settings_of_jobs() as known where known.setting = key)
    );
begin
    if unknown is not null then
        raise exception 'cannot set % of job %: it has no such setting', unknown, class_path
        using errcode = 'JH028', hint = (
            select 'one of ' || string_agg(known.setting, ', ') from jobhooks.settings_of_jobs() as known
        );
    end if;
    update jobhooks.job as job
    set overrides = job.overrides || (
        select coalesce(jsonb_object_agg(known.column_name, said.value), '{}')
        from jsonb_each(settings) as said
        join jobhooks.settings_of_jobs() as known on known.setting = said.key
        where said.key <> 'order_by'
    ) || case
        when not settings ? 'order_by' then '{}'
        when jsonb_typeof(settings -> 'order_by') = 'array'
            then jsonb_build_object('order_by', 'columns', 'order_columns', settings -> 'order_by')
        else jsonb_build_object('order_by', settings -> 'order_by', 'order_columns', '[]'::jsonb)
    end
    where job.class_path = set_job.class_path;
    if not found then
        raise exception 'there is no job %', class_path
        using errcode = 'JH020', hint = 'jobhooks job list';
    end if;
end
$$;

comment on function jobhooks.set_job(text, jsonb) is
'Say something of a job instead of its receiver, until jobhooks.reset_job';
