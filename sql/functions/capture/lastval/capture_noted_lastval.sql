-- jobhooks_capture.noted_lastval(): what note_lastval noted; null without a value.
--
-- An application can change the setting. So it may hold anything.
create or replace function jobhooks_capture.noted_lastval()
returns numeric
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    noted constant text := current_setting('jobhooks.lastval', true);
begin
    return case when noted = 'NaN' then noted::numeric else noted::bigint::numeric end;
exception when others then
    return null;
end
$$;

comment on function jobhooks_capture.noted_lastval() is 'What note_lastval noted; null without a value';
