-- jobhooks.pause_loop(leader, hook_id, reason): pause a hook that triggers itself, and note why.
--
-- For the daemon, which may not change hooks otherwise: so security definer. It refuses a daemon that no longer leads. It waits
-- briefly for a session that changes the hook; the daemon tries again.
create or replace function jobhooks.pause_loop(leader bigint, hook_id integer, reason text)
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
begin
    perform from jobhooks.cursor where cursor.leader = pause_loop.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    update jobhooks.job_hook as hook set paused = true where hook.id = pause_loop.hook_id and not hook.paused;
    if found then
        insert into jobhooks.hook_loop as known (hook_id, reason)
        values (pause_loop.hook_id, left(pause_loop.reason, 1000))
        on conflict on constraint hook_loop_pkey do update set reason = excluded.reason, time = excluded.time;
    end if;
end
$$;

comment on function jobhooks.pause_loop(bigint, integer, text) is 'Pause a hook that triggers itself, and note why';
