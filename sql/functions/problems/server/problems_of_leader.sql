-- jobhooks.problems_of_leader(silence): a daemon that leads and has said nothing for this time, though it speaks every second.
--
-- It is judged by its last statement, not by its session, which a process keeps that is stopped or cut off. A role that may not see
-- that of other roles (pg_read_all_stats) gets no row.
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
$$;

comment on function jobhooks.problems_of_leader(interval) is
'A daemon that leads and has said nothing for this time, though it speaks every second';
