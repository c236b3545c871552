-- jobhooks.note_configuration(): the trigger function that counts changes of hooks, jobs and watched tables.
--
-- A reader that has seen this number with the log, and has loaded hooks of the same number, knows all hooks of that moment.
-- Deferred to the commit: so this row is the last that a transaction locks, and no two can wait for one another. Security
-- definer, because a role that may change a hook need not be allowed to change this.
create or replace function jobhooks.note_configuration()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.configuration set version = version + 1;
    perform pg_notify('jobhooks', 'configuration');
    return null;
end
$$;

comment on function jobhooks.note_configuration() is
'The trigger function that counts changes of hooks, jobs and watched tables';

do $$
declare
    relation regclass;
begin
    foreach relation in array array[
        'jobhooks.content_type', 'jobhooks.content_type_parent', 'jobhooks.job', 'jobhooks.job_hook', 'jobhooks.job_hook_content_type'
    ]::regclass [] loop
        if not exists (select from pg_trigger where tgrelid = relation and tgname = 'note_configuration') then
            execute format(
                'create constraint trigger note_configuration after insert or update or delete on %s
                deferrable initially deferred for each row execute function jobhooks.note_configuration()', relation);
        end if;
    end loop;
end
$$;
