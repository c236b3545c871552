-- jobhooks.acquire_leadership(): become the daemon that leads; returns its number, which settle checks.
--
-- For the session that holds the lock of the leader. The update waits for a former leader's current settle, and prevents any
-- further one. It ends the sessions of the former leader's receivers, because they may hold locks on rows: that daemon is
-- presumed dead, and its uncommitted deliveries are repeated.
create or replace function jobhooks.acquire_leadership()
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    leader bigint;
begin
    update jobhooks.cursor
    set leader = cursor.leader + 1, leader_since = clock_timestamp()
    returning cursor.leader into leader;
    -- Until this session ends, a lock on its number shows which session leads: other sessions can hold the leader's lock.
    perform pg_try_advisory_lock(1785684585, (leader % 2147483648)::integer);
    perform pg_terminate_backend(pid)
    from pg_stat_activity
    where datname = current_database() and usename = current_user and application_name = 'jobhooks receiver';
    return leader;
end
$$;

comment on function jobhooks.acquire_leadership() is 'Become the daemon that leads; returns its number, which settle checks';
