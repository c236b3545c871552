-- jobhooks.note_condition_verdicts(verdicts): record whether conditions of hooks are right; false: come again, a hook is locked.
--
-- verdicts: [{hook_id, conditions, error}], error null for conditions that compile and can be right for the tables. A verdict about a text that the hook no longer has
-- is dropped. If the text changes at the same moment, the verdict is recorded and does not count, since it names its text. It does
-- not wait for a session that is changing a hook: the daemon settles nothing while it waits. Security definer, so that daemon
-- and operators record verdicts and write nothing else to the table.
create or replace function jobhooks.note_condition_verdicts(verdicts json)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10ms'
as $$
begin
    insert into jobhooks.condition_verdict as known (hook_id, conditions, error)
    select noted.hook_id, noted.conditions, left(noted.error, 1000)
    from json_to_recordset(note_condition_verdicts.verdicts) as noted (hook_id integer, conditions text, error text)
    join jobhooks.job_hook as hook on hook.id = noted.hook_id and hook.conditions = noted.conditions
    order by noted.hook_id
    on conflict (hook_id) do update
    set conditions = excluded.conditions, error = excluded.error, checked_at = excluded.checked_at;
    return true;
exception when lock_not_available or foreign_key_violation then
    return false;
end
$$;

comment on function jobhooks.note_condition_verdicts(json) is
'Record whether conditions of hooks are right; false: come again, a hook is locked';
