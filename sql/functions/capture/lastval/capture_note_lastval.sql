-- jobhooks_capture.note_lastval(former): note the result of former_lastval for the function of a TRUNCATE's trigger; returns true.
--
-- Called in the trigger's WHEN, as the writing role, whose lastval() the function cannot read.
create or replace function jobhooks_capture.note_lastval(former numeric)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    return set_config('jobhooks.lastval', coalesce(former::text, ''), true) is not null;
end
$$;

comment on function jobhooks_capture.note_lastval(numeric) is
'Note the result of former_lastval for the function of a TRUNCATE''s trigger; returns true';
