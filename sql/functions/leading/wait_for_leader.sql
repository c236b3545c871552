-- jobhooks.wait_for_leader(seconds): wait until the session that leads ends, with a limit.
--
-- The server grants its lock as soon as it ends. Another session that waits for the same lock can only delay that to the limit:
-- the caller looks at leader_session again. A waiting statement holds a snapshot, which keeps dead rows from being removed: so
-- the caller waits briefly and repeats. The timeout is caught here, so that the server's log does not have an error each time.
create or replace function jobhooks.wait_for_leader(seconds double precision)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    lock constant bigint := (select leader_lock from jobhooks.cursor);
begin
    perform set_config('lock_timeout', (seconds * 1000)::integer::text, true);
    perform pg_advisory_lock_shared(lock);
    perform pg_advisory_unlock_shared(lock);
exception when lock_not_available then null;
end
$$;

comment on function jobhooks.wait_for_leader(double precision) is 'Wait until the session that leads ends, with a limit';
