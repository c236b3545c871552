-- jobhooks.check_job_settings(): the trigger function that refuses invalid settings of a job.
--
-- It checks the receiver's settings and an operator's overrides, for every statement that writes them: the daemon could not
-- read its hooks otherwise. It checks an object only when that changes: an override that an older program knew must not keep
-- a job from being registered. A receiver of batches states a batch_size, every other receiver states null. The backoff of a
-- receiver may be "function", which only the receiver has.
create or replace function jobhooks.check_job_settings()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former constant jsonb := case tg_op when 'UPDATE' then to_jsonb(old) else '{}' end;
    given record;
    must_be text;
begin
    for given in
        select stated.key, stated.value, stated.is_override, known.setting is not null as is_known
        from (
            select key, value, false as is_override
            from jsonb_each(new.settings) where former -> 'settings' is distinct from new.settings
            union all
            select key, value, true
            from jsonb_each(new.overrides) where former -> 'overrides' is distinct from new.overrides
        ) as stated
        left join jobhooks.settings_of_jobs() as known on known.setting = stated.key
        order by stated.key
    loop
        if not given.is_known then
            raise exception 'cannot set % of job %: it has no such setting', given.key, new.class_path
            using errcode = 'JH028', hint = (
                select 'one of ' || string_agg(known.setting, ', ') from jobhooks.settings_of_jobs() as known
            );
        end if;
        must_be := jobhooks.refusal_of_setting(given.key, given.value);
        if must_be is not null and not (
            not given.is_override
            and (given.key, given.value) in (('batch_size', 'null'::jsonb), ('backoff', '"function"'))
        ) then
            raise exception 'cannot set % of job % to %: it must be %', given.key, new.class_path, given.value, must_be
            using errcode = 'JH028';
        end if;
    end loop;
    if new.overrides ? 'batch_size' and new.settings ->> 'batch_size' is null
        and not coalesce(former -> 'overrides' ? 'batch_size', false) then
        raise exception 'cannot set batch_size of job %: its receiver takes one change at a time', new.class_path
        using errcode = 'JH028', hint = 'a method receive_job_hook_batch in the receiver';
    end if;
    return new;
end
$$;

create or replace trigger check_job_settings
before insert or update of settings, overrides on jobhooks.job
for each row
execute function jobhooks.check_job_settings();

comment on function jobhooks.check_job_settings() is
'The trigger function that refuses invalid settings of a job';
