-- jobhooks.reset_job(class_path, names): remove overrides of a job; returns the settings that were overridden.
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
    former jsonb;
begin
    if unknown is not null then
        raise exception 'cannot reset % of job %: it has no such setting', unknown, class_path
        using errcode = 'JH028', hint = (
            select 'one of ' || string_agg(known.setting, ', ') from jobhooks.settings_of_jobs() as known
        );
    end if;
    select job.overrides into former from jobhooks.job as job where job.class_path = reset_job.class_path for update;
    if not found then
        perform jobhooks.refuse_unknown_job(class_path);
    end if;
    update jobhooks.job as job
    set overrides = case when names is null then '{}' else job.overrides - names end
    where job.class_path = reset_job.class_path and (names is null or job.overrides ?| names) and job.overrides <> '{}';
    return array(
        select known.setting
        from jobhooks.settings_of_jobs() as known
        where former ? known.setting and (names is null or known.setting = any (names))
    );
end
$$;

comment on function jobhooks.reset_job(text, text []) is
'Remove overrides of a job; returns the settings that were overridden';
