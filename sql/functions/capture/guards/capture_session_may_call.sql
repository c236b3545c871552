-- jobhooks_capture.session_may_call(): whether this session can become a role that may call the capture functions by name.
--
-- Immutable, although a grant changes it: so the planner puts the result into the plan of record_change, once in a session, and
-- a row costs nothing more. See callers and check_call.
create or replace function jobhooks_capture.session_may_call()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from jobhooks_capture.callers() as caller (oid) join pg_roles as session on session.rolname = session_user
        where not session.rolsuper and caller.oid in (0, session.oid)
            or not session.rolsuper and caller.oid <> 0 and pg_has_role(session.oid, caller.oid, 'member')
    );
end
$$;

comment on function jobhooks_capture.session_may_call() is
'Whether this session can become a role that may call the capture functions by name';
