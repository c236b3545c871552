-- jobhooks.wait_for_lock(key, seconds): wait for one of our locks, with a limit; returns whether this session holds it now.
--
-- key: 2 is held by the daemon that sleeps. A waiting statement holds a snapshot, which keeps dead rows from being removed: so
-- the caller waits briefly and repeats. The timeout is caught here, so that the server's log does
-- not have an error each time.
create or replace function jobhooks.wait_for_lock(key integer, seconds double precision)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform set_config('lock_timeout', (seconds * 1000)::integer::text, true);
    perform pg_advisory_lock(1785684584, key);
    return true;
exception when lock_not_available then
    return false;
end
$$;

comment on function jobhooks.wait_for_lock(integer, double precision) is
'Wait for one of our locks, with a limit; returns whether this session holds it now';
