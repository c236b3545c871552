-- jobhooks.note_job_enabled(): the trigger function that restarts a job's hooks when the job is enabled.
--
-- Changes that committed while the job was disabled have skipped its hooks, with or without a running daemon.
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

comment on function jobhooks.note_job_enabled() is 'The trigger function that restarts a job''s hooks when the job is enabled';
