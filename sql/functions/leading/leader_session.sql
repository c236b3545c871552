-- jobhooks.leader_session(): the process id of the session that leads; null if no daemon leads.
--
-- The cursor names the session and a random advisory lock, which that session took before any other session could know it. So the
-- lock shows that the session lives: another session can get it only after that, and has another process id.
create or replace function jobhooks.leader_session()
returns integer
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select cursor.leader_pid
    from jobhooks.cursor as cursor
    join pg_locks as lock
        on lock.locktype = 'advisory' and lock.granted and lock.pid = cursor.leader_pid and lock.mode = 'ExclusiveLock'
        and lock.database = (select oid from pg_database where datname = current_database())
        and (lock.classid, lock.objid, lock.objsubid)
        = ((cursor.leader_lock >> 32)::oid, (cursor.leader_lock & 4294967295)::oid, 1)
$$;

comment on function jobhooks.leader_session() is 'The process id of the session that leads; null if no daemon leads';
