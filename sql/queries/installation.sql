-- Installing, and telling what is installed. The advisory lock is 1785684584 ('jobh'), 1. A lock on a table is waited
-- for briefly only: whoever waits for one makes the application's own statements queue behind it.

-- name: lock_installation
select pg_advisory_xact_lock(1785684584, 1), set_config('check_function_bodies', 'off', true), set_config('lock_timeout', '1s', true)

-- name: has_schema
select exists (
    select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')
)

-- name: may_read_schema
select has_schema_privilege('jobhooks', 'usage')

-- name: schema_version
select coalesce(max(version), 0) from jobhooks.migration

-- name: installation
select program_version, functions_digest from jobhooks.installation

-- name: record_migration
insert into jobhooks.migration (version, name) values ($1, $2)

-- name: record_installation
insert into jobhooks.installation as installation (program_version, functions_digest)
values ($1, $2)
on conflict (singleton) do update
set program_version = excluded.program_version, functions_digest = excluded.functions_digest, installed_at = now()
where (installation.program_version, installation.functions_digest)
    is distinct from (excluded.program_version, excluded.functions_digest)

-- name: is_original
select
    (cursor.system_identifier, cursor.database_oid)
    = (control.system_identifier, (select oid from pg_database where datname = current_database()))
from jobhooks.cursor, pg_control_system() as control

-- name: may_mark
select jobhooks.may_mark()

-- name: capture_is_confined
select proowner = to_regrole('jobhooks_capture') is true
from pg_proc
where oid = 'jobhooks_capture.record_change(integer, jobhooks.action, json, json)'::regprocedure

-- name: adopt
select jobhooks.adopt()

-- name: problems
select severity, subject, problem, remedy from jobhooks.problems($1)
