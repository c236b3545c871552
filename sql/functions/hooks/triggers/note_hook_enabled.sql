-- jobhooks.note_hook_enabled(): the trigger function that sets enabled_since when a hook is enabled again.
--
-- A hook gets changes that commit after it was enabled, by any role and any statement. The trigger is here, with its
-- function, because the functions come after all migrations.
create or replace function jobhooks.note_hook_enabled()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    new.enabled_since := pg_current_snapshot();
    return new;
end
$$;

create or replace trigger note_hook_enabled
before update on jobhooks.job_hook
for each row when (new.enabled and not old.enabled)
execute function jobhooks.note_hook_enabled();

comment on function jobhooks.note_hook_enabled() is 'The trigger function that sets enabled_since when a hook is enabled again';
