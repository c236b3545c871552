-- jobhooks.show_process(process): show that a process lives, until this session ends; returns whether it could.
--
-- A daemon calls it on the connection on which it waits to lead. The shared advisory lock is found by doubted_processes. False:
-- another session, of any role, holds it exclusively; then the process counts as silent.
create or replace function jobhooks.show_process(process text)
returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$
    select pg_try_advisory_lock_shared(hashtextextended(process, 0))
$$;

comment on function jobhooks.show_process(text) is 'Show that a process lives, until this session ends; returns whether it could';
