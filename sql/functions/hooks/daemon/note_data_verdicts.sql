-- jobhooks.note_data_verdicts(verdicts): record whether receivers take the data of hooks; false: come again, a hook is locked.
--
-- verdicts: [{hook_id, job, data, error}], job the class path, error null for data that are taken. A verdict about data or a job that the
-- hook no longer has is dropped. Otherwise as jobhooks.note_condition_verdicts.
create or replace function jobhooks.note_data_verdicts(verdicts json)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10ms'
as $$
begin
    insert into jobhooks.data_verdict as known (hook_id, job_id, data, error)
    select hook.id, hook.job_id, hook.data, left(noted.error, 1000)
    from json_to_recordset(note_data_verdicts.verdicts) as noted (hook_id integer, job text, data jsonb, error text)
    join jobhooks.job_hook as hook on hook.id = noted.hook_id and hook.data = noted.data
    join jobhooks.job as job on job.id = hook.job_id and job.class_path = noted.job
    order by noted.hook_id
    on conflict (hook_id) do update
    set job_id = excluded.job_id, data = excluded.data, error = excluded.error, checked_at = excluded.checked_at;
    return true;
exception when lock_not_available or foreign_key_violation then
    return false;
end
$$;

comment on function jobhooks.note_data_verdicts(json) is
'Record whether receivers take the data of hooks; false: come again, a hook is locked';
