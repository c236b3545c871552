-- jobhooks.problems_of_leader(silence): a daemon that leads and has said nothing for this time, though it speaks every second; and
-- a session that keeps a daemon waiting for so long.
--
-- A daemon is judged by its last statement, not by its session, which a process keeps that is stopped or cut off. To record
-- results it locks the row of the cursor, so a session that has locked that row, in psql perhaps, stops the delivery. A role that
-- may not see the state of other roles' sessions (pg_read_all_stats) gets no row.
create or replace function jobhooks.problems_of_leader(silence interval default '15 seconds')
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'error', 'the daemon',
        format(
            'the daemon that leads has said nothing since %s: it is stopped, stuck or cut off, and nothing is delivered',
            greatest(activity.state_change, activity.query_start)::timestamptz(0)
        ),
        'restart it: systemctl restart jobhooks'
    from pg_stat_activity as activity
    where activity.pid = jobhooks.leader_session()
        and greatest(activity.state_change, activity.query_start) < clock_timestamp() - silence
    union all
    select
        'error', format('session %s (%s)', blocker.pid, coalesce(blocker.application_name, '')),
        format(
            'it holds a lock for which the daemon has waited since %s: no result is recorded, and delivery stops',
            min(waiting.query_start)::timestamptz(0)
        ),
        format('end its transaction, or: select pg_terminate_backend(%s)', blocker.pid)
    from pg_stat_activity as waiting
    cross join unnest(pg_blocking_pids(waiting.pid)) as blocking (pid)
    join pg_stat_activity as blocker on blocker.pid = blocking.pid
    where waiting.datname = current_database() and waiting.wait_event_type = 'Lock'
        and waiting.query_start < clock_timestamp() - silence
        and exists (
            select from pg_locks as lock
            where lock.pid = waiting.pid and lock.locktype = 'relation' and lock.granted
                and lock.database = waiting.datid and lock.relation = 'jobhooks.cursor'::regclass
        )
    group by blocker.pid, blocker.application_name
$$;

comment on function jobhooks.problems_of_leader(interval) is
'A daemon that leads and has said nothing for this time, and a session that keeps a daemon waiting for so long';
