-- jobhooks.heartbeat(): send a NOTIFY to this very session, which proves that the connection works in both directions.
--
-- Returns whether it did: not while the server's NOTIFY queue is crowded, where writers also send none (see
-- jobhooks_capture.wake).
create or replace function jobhooks.heartbeat()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_notification_queue_usage() >= 0.25 then
        return false;
    end if;
    perform pg_notify('jobhooks', 'heartbeat');
    return true;
end
$$;

comment on function jobhooks.heartbeat() is
'Send a NOTIFY to this very session, unless the NOTIFY queue is crowded; returns whether it did';
