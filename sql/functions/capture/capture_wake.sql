-- jobhooks_capture.wake(): wake the daemon when the transaction commits; returns false.
create or replace function jobhooks_capture.wake()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('jobhooks', '');
    return false;
end
$$;

comment on function jobhooks_capture.wake() is 'Wake the daemon when the transaction commits; returns false';
