-- jobhooks.acquire_leadership(): become the daemon that leads; returns its number, which settle checks. Null: another one leads.
--
-- The row of the cursor decides, because every role can hold any advisory lock. Its lock waits for a former leader's current
-- settle, and the new number prevents any further one. The random advisory lock, held until this session ends, only shows that
-- the session lives (see leader_session). It ends the sessions of the former leader's receivers, because they may hold locks on
-- rows: that daemon is presumed dead, and its uncommitted deliveries are repeated.
create or replace function jobhooks.acquire_leadership()
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    lock bigint;
    leader bigint;
begin
    if jobhooks.leader_session() <> pg_backend_pid() then
        return null;
    end if;
    perform from jobhooks.cursor for update;
    if jobhooks.leader_session() <> pg_backend_pid() then
        return null; -- another standby was faster
    end if;
    loop
        lock := ('x0' || right(replace(gen_random_uuid()::text, '-', ''), 15))::bit(64)::bigint;
        exit when pg_try_advisory_lock(lock);
    end loop;
    update jobhooks.cursor
    set leader = cursor.leader + 1, leader_since = clock_timestamp(), leader_pid = pg_backend_pid(), leader_lock = lock
    returning cursor.leader into leader;
    perform pg_terminate_backend(pid)
    from pg_stat_activity
    where datname = current_database() and usename = current_user and application_name = 'jobhooks receiver';
    return leader;
end
$$;

comment on function jobhooks.acquire_leadership() is
'Become the daemon that leads; returns its number, which settle checks, or null if another one leads';
