-- jobhooks.is_restoring(): whether this session restores the data of a dump into this database.
--
-- A dump of PostgreSQL sets check_function_bodies, which applications leave on. The database has no cursor yet, or that of the
-- database that was dumped, until jobhooks install or jobhooks adopt. Then rows come in any order, each checked when it was
-- written: triggers of jobhooks neither check nor record them.
create or replace function jobhooks.is_restoring()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select current_setting('check_function_bodies') = 'off' and not exists (
        select from jobhooks.cursor
        cross join pg_control_system() as control
        join pg_database as own on own.datname = current_database()
        where (cursor.system_identifier, cursor.database_oid) = (control.system_identifier, own.oid)
            and exists (select from jobhooks.installation)
    )
$$;

comment on function jobhooks.is_restoring() is 'Whether this session restores the data of a dump into this database';
