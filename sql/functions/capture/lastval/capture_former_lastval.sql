-- jobhooks_capture.former_lastval(): lastval() before a row is captured; NaN if it is undefined, null if the writing role may not
-- read it.
--
-- For tables that are watched with keep_lastval. Runs as the writing role, and never fails. A "set" clause would cost as much
-- again, so every name is qualified.
create or replace function jobhooks_capture.former_lastval()
returns numeric
language plpgsql
as $$
begin
    return pg_catalog.lastval()::pg_catalog.numeric;
exception
    when object_not_in_prerequisite_state then
        return 'NaN'::pg_catalog.numeric;
    when others then
        return null;
end
$$;

comment on function jobhooks_capture.former_lastval() is
'lastval() before a row is captured; NaN if it is undefined, null if the writing role may not read it';
