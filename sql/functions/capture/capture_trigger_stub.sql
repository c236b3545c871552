-- jobhooks_capture.trigger_stub(): the nominal function of row triggers; their WHEN does the work, and returns false.
--
-- PUBLIC may execute it: a role that creates a partition of a watched table also creates its triggers.
create or replace function jobhooks_capture.trigger_stub()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return null;
end
$$;

comment on function jobhooks_capture.trigger_stub() is
'The nominal function of row triggers; their WHEN does the work, and returns false';
