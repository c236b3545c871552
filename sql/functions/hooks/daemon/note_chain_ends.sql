-- jobhooks.note_chain_ends(ends): count changes that were deeper in a chain than the chain_depth of a hook.
--
-- ends: [{hook_id, chain_depth, changes, change_id}]. Those of a deleted hook, or of another chain_depth, are ignored. It does
-- not wait for a transaction that changes a hook, as note_condition_failures: then it returns false, and counts nothing.
create or replace function jobhooks.note_chain_ends(ends json)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '10ms'
as $$
begin
    insert into jobhooks.chain_end as known (hook_id, changes, change_id)
    select noted.hook_id, noted.changes, noted.change_id
    from json_to_recordset(note_chain_ends.ends) as noted (
        hook_id integer, chain_depth integer, changes bigint, change_id bigint
    )
    join jobhooks.job_hook as hook on hook.id = noted.hook_id and hook.chain_depth = noted.chain_depth
    order by noted.hook_id
    on conflict (hook_id) do update
    set changes = known.changes + excluded.changes, change_id = excluded.change_id, time = excluded.time;
    return true;
exception when lock_not_available or foreign_key_violation then
    return false;
end
$$;

comment on function jobhooks.note_chain_ends(json) is
'Count changes that were deeper in a chain than the chain_depth of a hook';
