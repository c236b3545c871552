-- jobhooks_capture.trigger_stub(): what the row triggers are for in name; their WHEN does the work, and returns false.
--
-- Everybody may execute it: whoever makes a partition of a watched table makes its triggers, too.
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
'What the row triggers are for in name; their WHEN does the work, and returns false';
