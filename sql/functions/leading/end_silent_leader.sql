-- jobhooks.end_silent_leader(seconds): end the leading daemon's session if it has been silent for that time.
--
-- A healthy leader sends several messages in that time. After a lost machine, or in a network that drops packets, the session
-- would lead until its connection is found dead, which can take hours. Returns whether it ended one.
create or replace function jobhooks.end_silent_leader(seconds double precision)
returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(bool_or(pg_terminate_backend(activity.pid)), false)
    from pg_stat_activity as activity
    where activity.pid = jobhooks.leader_session()
        and greatest(activity.state_change, activity.query_start) < clock_timestamp() - seconds * interval '1 second'
$$;

comment on function jobhooks.end_silent_leader(double precision) is
'End the leading daemon''s session if it has been silent for that time';
