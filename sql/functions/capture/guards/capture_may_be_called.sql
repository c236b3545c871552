-- jobhooks_capture.may_be_called(): whether there is a role that may call the capture functions by name.
--
-- Such a role can also name them in a view, a default, a policy or a function, and another role's session calls them there. So all
-- sessions check, not only those of that role. Immutable, although a grant changes it: so the planner puts the result into the
-- plan of record_change, once in a session, and a row costs nothing more if there is no such role.
create or replace function jobhooks_capture.may_be_called()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from jobhooks_capture.callers());
end
$$;

comment on function jobhooks_capture.may_be_called() is
'Whether there is a role that may call the capture functions by name';
