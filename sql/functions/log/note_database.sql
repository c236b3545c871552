-- jobhooks.note_database(): note in a function which database jobhooks is installed in, and the version of its schema.
--
-- A dump of the schema without data contains functions. So the next installation finds the version there, and the capture that it
-- is in another database: see jobhooks_capture.may_be_restoring.
create or replace function jobhooks.note_database()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name constant text := (
        select control.system_identifier || '.' || own.oid
        from pg_control_system() as control
        join pg_database as own on own.datname = current_database()
    );
begin
    execute format(
        'create or replace'
        ' function jobhooks.schema_version() returns integer language sql immutable'
        ' set search_path = pg_catalog, pg_temp as ''select %s''', (select max(version) from jobhooks.migration)
    );
    execute format(
        'create or replace'
        ' function jobhooks_capture.installed_in() returns text language sql immutable'
        ' set search_path = pg_catalog, pg_temp as %L', format('select %L', name)
    );
    comment on function jobhooks.schema_version() is 'The number of the last migration';
    comment on function jobhooks_capture.installed_in() is 'The system identifier and the number of the database';
end
$$;

comment on function jobhooks.note_database() is
'Note in a function which database jobhooks is installed in, and the version of its schema';
