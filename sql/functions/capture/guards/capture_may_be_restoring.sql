-- jobhooks_capture.may_be_restoring(): whether a dump may be being restored when this session captures its first row.
--
-- True in a session that has the settings of a dump, and in a database whose schema came with a dump, until jobhooks install or
-- jobhooks adopt: installed_in names another database there. Immutable, although it reads the catalogue: so the planner puts the
-- result into the plan of record_change, once in a session, and a row costs nothing more. If it is true, each row asks
-- skips_restored_row. It reads no table of jobhooks, since a writer would wait for an upgrade that has locked it.
create or replace function jobhooks_capture.may_be_restoring()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return current_setting('check_function_bodies') = 'off' or jobhooks_capture.installed_in() <> (
        select control.system_identifier || '.' || own.oid
        from pg_control_system() as control
        join pg_database as own on own.datname = current_database()
    );
exception when others then
    return false; -- a writer must not fail
end
$$;

comment on function jobhooks_capture.may_be_restoring() is
'Whether a dump may be being restored when this session captures its first row';
