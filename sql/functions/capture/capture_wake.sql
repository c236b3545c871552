-- jobhooks_capture.wake(): wake the daemon when the transaction commits; returns false.
--
-- The server keeps one queue of NOTIFYs for all databases. It grows while any session that listens does not read: a daemon
-- that is stopped or cut off, or a session of an application with an open transaction. Once it is full, each commit with a
-- NOTIFY fails. So a writer adds none if a quarter is in use. Writers that look at the same moment can pass that mark by one
-- NOTIFY each, which is less than the rest. The heartbeat of a daemon finds the changes of these writers within a second
-- (see Listener.keep_hearing), and keeps it awake while the queue is crowded, so that writers need not look.
create or replace function jobhooks_capture.wake()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_notification_queue_usage() < 0.25 then
        perform pg_notify('jobhooks', '');
    end if;
    return false;
end
$$;

comment on function jobhooks_capture.wake() is
'Wake the daemon when the transaction commits, unless the NOTIFY queue is crowded; returns false';
