-- jobhooks.reset_job(class_path, names): let a job be again what its receiver says; returns what was set otherwise.
--
-- names: of settings, as in class Meta; null: all.
create or replace function jobhooks.reset_job(class_path text, names text [] default null)
returns text []
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown constant text := (
        select string_agg(name, ', ' order by name)
        from unnest(names) as name
        where not exists (select from jobhooks.settings_of_jobs() as known where known.setting = name)
    );
    was jsonb;
    column_names constant text [] := array(
        select known.column_name
        from jobhooks.settings_of_jobs() as known
        where names is null or coalesce(known.setting, 'order_by') = any (names)
    );
begin
    if unknown is not null then
        raise exception 'cannot reset % of job %: it has no such setting', unknown, class_path
        using errcode = 'JH028', hint = (
            select 'one of ' || string_agg(known.setting, ', ') from jobhooks.settings_of_jobs() as known
        );
    end if;
    select job.overrides into was from jobhooks.job as job where job.class_path = reset_job.class_path for update;
    if not found then
        raise exception 'there is no job %', class_path
        using errcode = 'JH020', hint = 'jobhooks job list';
    end if;
    update jobhooks.job as job
    set overrides = job.overrides - column_names
    where job.class_path = reset_job.class_path and job.overrides ?| column_names;
    return array(
        select known.setting
        from jobhooks.settings_of_jobs() as known
        where was ? known.column_name and known.column_name = any (column_names) and known.setting is not null
    );
end
$$;

comment on function jobhooks.reset_job(text, text []) is
'Let a job be again what its receiver says; returns what was set otherwise';
