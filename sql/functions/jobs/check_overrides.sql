-- jobhooks.check_overrides(): the trigger function that refuses what cannot be said of a job instead of its receiver.
--
-- Whoever writes it, since the daemon could not read its hooks from jobhooks.jobs otherwise.
create or replace function jobhooks.check_overrides()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    said record;
    must_be text;
begin
    for said in
        select override.key, override.value, known.kind, coalesce(known.setting, 'order_by') as setting
        from jsonb_each(new.overrides) as override
        left join jobhooks.settings_of_jobs() as known on known.column_name = override.key
        order by override.key
    loop
        if said.kind is null then
            raise exception 'cannot set % of job %: it has no such setting', said.key, new.class_path using errcode = 'JH028';
        end if;
        must_be := jobhooks.refusal_of_setting(said.key, said.value);
        if must_be is not null then
            raise exception 'cannot set % of job % to %: it must be %', said.setting, new.class_path, said.value, must_be
            using errcode = 'JH028';
        end if;
    end loop;
    if (coalesce(new.overrides ->> 'order_by', 'object') = 'columns')
        <> (jsonb_array_length(coalesce(new.overrides -> 'order_columns', '[]')) > 0)
        or (new.overrides ? 'order_by') <> (new.overrides ? 'order_columns') then
        raise exception 'cannot set order_by of job %: it must be "object", "table", "none" or names of columns', new.class_path
        using errcode = 'JH028';
    end if;
    if new.overrides ? 'batch_size' and new.batch_size is null and not coalesce(old.overrides ? 'batch_size', false) then
        raise exception 'cannot set batch_size of job %: its receiver takes one change at a time', new.class_path
        using errcode = 'JH028', hint = 'a method receive_job_hook_batch in the receiver';
    end if;
    return new;
end
$$;

create or replace trigger check_overrides
before insert or update of overrides on jobhooks.job
for each row
execute function jobhooks.check_overrides();

comment on function jobhooks.check_overrides() is
'The trigger function that refuses what cannot be said of a job instead of its receiver';
