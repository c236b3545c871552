-- jobhooks.note_condition_failures(failures): count changes whose evaluation by the conditions of hooks failed.
--
-- failures: [{hook_id, conditions, failures, change_id, invalid, error}]; change_id null, and failures 0, if invalid
-- conditions have not met a change yet. Failures of a deleted hook, or of replaced conditions, are ignored. It does not wait
-- for a transaction that changes a hook, because the daemon settles nothing during that time: then it returns false, counts
-- nothing, and the daemon tries again.
create or replace function jobhooks.note_condition_failures(failures json)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '10ms'
as $$
begin
    insert into jobhooks.condition_failure as known (hook_id, failures, change_id, invalid, error)
    select noted.hook_id, noted.failures, noted.change_id, noted.invalid, noted.error
    from json_to_recordset(note_condition_failures.failures) as noted (
        hook_id integer, conditions text, failures bigint, change_id bigint, invalid boolean, error text
    )
    join jobhooks.job_hook as hook on hook.id = noted.hook_id and hook.conditions = noted.conditions
    order by noted.hook_id
    on conflict (hook_id) do update
    set failures = known.failures + excluded.failures, change_id = coalesce(excluded.change_id, known.change_id),
        invalid = excluded.invalid, error = excluded.error, time = excluded.time;
    return true;
exception when lock_not_available or foreign_key_violation then
    return false;
end
$$;

comment on function jobhooks.note_condition_failures(json) is
'Count the changes for which conditions of hooks could not be evaluated';
