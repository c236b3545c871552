-- Waking up, and who leads. 1785684584 is 'jobh'; 2 is "wake me": writers send a NOTIFY while a session holds it exclusively,
-- or waits to.

-- name: wait_for_lock
select jobhooks.wait_for_lock(:key, :seconds)

-- name: wake_lock_squatters
select pid, role_name, application_name from jobhooks.wake_lock_squatters()

-- name: stay_awake
select pg_advisory_unlock(1785684584, 2)

-- name: is_crowded
-- Whether sessions wait for the lock that a commit with a NOTIFY holds: "database 0", of the whole server.
select exists (
    select from pg_locks
    where locktype = 'object' and database = 0 and classid = 'pg_database'::regclass and objid = 0 and not granted
)

-- name: is_replica
select pg_is_in_recovery()

-- name: acquire_leadership
select jobhooks.acquire_leadership()

-- name: wait_for_leader
select jobhooks.wait_for_leader(:seconds)

-- name: begin_leadership
select jobhooks.begin_leadership(:leader, :process)

-- name: show_process
select jobhooks.show_process(:process)

-- name: doubted_processes
select jobhooks.doubted_processes(:leader)

-- name: end_leadership
select jobhooks.end_leadership(:leader)

-- name: end_silent_leader
select jobhooks.end_silent_leader(:seconds)

-- name: heartbeat
-- Sends a NOTIFY to this connection, which proves that it works in both directions. And the position of the log, as
-- log_position: writers send no NOTIFY while the queue is crowded.
select
    jobhooks.heartbeat(), coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0), pg_current_snapshot()::text

-- name: end_when_silent
-- The server ends this session if it sends nothing for that time, or does not take what is sent to it.
select
    set_config('idle_session_timeout', (:seconds * 1000)::integer::text, false),
    set_config('tcp_user_timeout', (:seconds * 1000)::integer::text, false)

-- name: nothing
select
