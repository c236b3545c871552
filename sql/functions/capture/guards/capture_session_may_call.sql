-- jobhooks_capture.session_may_call(): whether this session's role could call the capture functions by name.
--
-- That takes USAGE of the schema, which no grant of jobhooks gives, but pg_read_all_data does. Not for superusers and members
-- of the schema's owner, who may replace the functions anyway, and not for pg_write_all_data, which may write to the tables
-- anyway. Immutable, although a grant changes it:
-- so the planner puts the result into the plan of record_change, once in a session, and a row costs nothing more.
create or replace function jobhooks_capture.session_may_call()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return has_schema_privilege(session_user, 'jobhooks_capture', 'usage') and not pg_has_role(
        session_user, (select nspowner from pg_namespace where nspname = 'jobhooks_capture'), 'member'
    ) and not pg_has_role(session_user, 'pg_write_all_data', 'usage');
exception when undefined_object then
    return false; -- the session's role has been dropped
end
$$;

comment on function jobhooks_capture.session_may_call() is
'Whether this session''s role could call the capture functions by name';
