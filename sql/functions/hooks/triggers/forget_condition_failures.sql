-- jobhooks.forget_condition_failures(): the trigger function that restarts the count when a hook's conditions change.
--
-- Deferred to the commit, until which the daemon evaluates the old ones. Security definer, because a role that may change a
-- hook need not be allowed to change this.
create or replace function jobhooks.forget_condition_failures()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from jobhooks.condition_failure where hook_id = new.id;
    return null;
end
$$;

comment on function jobhooks.forget_condition_failures() is
'The trigger function that restarts the count when a hook''s conditions change';

do $$
begin
    if not exists (
        select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'forget_condition_failures'
    ) then
        create constraint trigger forget_condition_failures
        after update on jobhooks.job_hook
        deferrable initially deferred
        for each row when (new.conditions <> old.conditions)
        execute function jobhooks.forget_condition_failures();
    end if;
end
$$;
