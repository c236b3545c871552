-- jobhooks.save_positions(leader, shared, hooks): save where the daemon reads; false if another daemon leads.
--
-- shared: {seen, seen_floor, horizon, horizon_floor, last_id}, the position of the hooks that read together; null: unchanged.
-- hooks: [the same with hook_id], the hooks that read alone; without a position, the hook reads with the others. All of it at
-- once: a hook that leaves the others must have its position before theirs moves on. A hook that is not enabled gets none.
create or replace function jobhooks.save_positions(leader bigint, shared json, hooks json)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from jobhooks.cursor where cursor.leader = save_positions.leader for share;
    if not found then
        return false;
    end if;
    if shared is not null then
        update jobhooks.cursor
        set seen = position.seen, seen_floor = position.seen_floor, horizon = position.horizon,
            horizon_floor = position.horizon_floor, last_id = position.last_id, saved_at = clock_timestamp()
        from json_to_record(shared) as position (
            seen pg_snapshot, seen_floor bigint, horizon pg_snapshot, horizon_floor bigint, last_id bigint
        );
    end if;
    if hooks is not null then
        delete from jobhooks.hook_position as saved
        using json_to_recordset(hooks) as position (hook_id integer, seen pg_snapshot)
        where saved.hook_id = position.hook_id and position.seen is null;
        insert into jobhooks.hook_position (hook_id, seen, seen_floor, horizon, horizon_floor, last_id)
        select position.hook_id, position.seen, position.seen_floor, position.horizon, position.horizon_floor, position.last_id
        from json_to_recordset(hooks) as position (
            hook_id integer, seen pg_snapshot, seen_floor bigint, horizon pg_snapshot, horizon_floor bigint, last_id bigint
        )
        join jobhooks.job_hook as hook on hook.id = position.hook_id and hook.enabled
        join jobhooks.job on job.id = hook.job_id and job.enabled
        where position.seen is not null
        on conflict (hook_id) do update
        set seen = excluded.seen, seen_floor = excluded.seen_floor, horizon = excluded.horizon,
            horizon_floor = excluded.horizon_floor, last_id = excluded.last_id, saved_at = clock_timestamp();
    end if;
    return true;
end
$$;

comment on function jobhooks.save_positions(bigint, json, json) is 'Save where the daemon reads; false if another daemon leads';
