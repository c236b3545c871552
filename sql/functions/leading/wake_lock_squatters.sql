-- jobhooks.wake_lock_squatters(): sessions that keep the lock of a sleeping daemon (1785684584, 2), other than the leader's.
--
-- Every role can hold it. Exclusively, which only the daemon that leads does: then each commit sends a NOTIFY. Or shared beyond a
-- transaction, which no writer does (see record_change): then the daemon cannot sleep, and reads the log at short intervals. A role
-- that may not see the state of other sessions (pg_read_all_stats) gets only the first kind.
create or replace function jobhooks.wake_lock_squatters()
returns table (pid integer, role_name text, application_name text, is_exclusive boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        lock.pid, coalesce(session.usename::text, 'a dropped role'), coalesce(session.application_name, ''),
        lock.mode = 'ExclusiveLock'
    from pg_locks as lock
    join pg_stat_activity as session on session.pid = lock.pid
    where lock.locktype = 'advisory' and lock.granted
        and lock.database = (select oid from pg_database where datname = current_database())
        and (lock.classid, lock.objid, lock.objsubid) = (1785684584, 2, 2)
        and lock.pid is distinct from jobhooks.leader_session()
        and (lock.mode = 'ExclusiveLock' or session.state = 'idle')
$$;

comment on function jobhooks.wake_lock_squatters() is
'Sessions that keep the lock of a sleeping daemon, other than the leader''s';
