-- jobhooks.note_job_enabled(): the trigger function that has a job's hooks begin anew when the job is enabled.
--
-- What committed while the job was disabled has passed its hooks by, whether a daemon was running then or not.
create or replace function jobhooks.note_job_enabled()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.job_hook set enabled_since = pg_current_snapshot() where job_id = new.id;
    return null;
end
$$;

create or replace trigger note_job_enabled
after update on jobhooks.job
for each row when (new.enabled and not old.enabled)
execute function jobhooks.note_job_enabled();

comment on function jobhooks.note_job_enabled() is 'The trigger function that has a job''s hooks begin anew when the job is enabled';
