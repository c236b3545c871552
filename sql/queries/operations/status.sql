-- The health of the installation, for `jobhooks status`. Cheap under any load.

-- name: sessions_of_daemons
-- The session that leads, and those that wait for its end: the standbys, if their role may lead. Whether
-- they lead; whether they ask to be woken; and the seconds since they last spoke. Columns that only a member of
-- pg_read_all_stats sees of other roles are null to others.
select
    lock.pid = jobhooks.leader_session(),
    exists (
        select from pg_locks as sleep
        where sleep.locktype = 'advisory' and sleep.classid = 1785684584 and sleep.objid = 2 and sleep.objsubid = 2
            and sleep.database = lock.database and sleep.pid = lock.pid and sleep.granted and sleep.mode = 'ExclusiveLock'
    ),
    extract(epoch from clock_timestamp() - greatest(activity.state_change, activity.query_start))::double precision,
    lock.pid, activity.usename::text, activity.application_name,
    case when activity.client_port = -1 then 'local socket' else host(activity.client_addr) end, activity.backend_start
from pg_locks as lock
left join pg_stat_activity as activity on activity.pid = lock.pid
where lock.locktype = 'advisory'
    and lock.database = (select oid from pg_database where datname = current_database())
    and (lock.classid, lock.objid, lock.objsubid) = (
        select (leader_lock >> 32)::oid, (leader_lock & 4294967295)::oid, 1 from jobhooks.cursor
    )
    and case
        when lock.granted then lock.pid = jobhooks.leader_session()
        else lock.mode = 'ShareLock'
            and has_function_privilege(activity.usesysid, 'jobhooks.acquire_leadership()', 'execute')
    end
order by lock.granted desc, activity.backend_start, lock.pid

-- name: leadership
select leader_since from jobhooks.cursor

-- name: unread_changes
-- The changes after the reader's position that trigger hooks: roughly how many, and the time of the oldest. Receivers' writes
-- count up to the greatest chain_depth of a hook. :limit changes are looked at;
-- those after them count by their ids, whether they trigger hooks or not.
with chain as materialized (
    select coalesce(max(chain_depth), 0) as depth from jobhooks.job_hook where enabled
),
page as materialized (
    select
        change.id, change.time,
        change.triggering
        or (select depth from chain) > 0
        and coalesce(jobhooks.depth_of(false, change.context) <= (select depth from chain), false) as triggering
    from jobhooks.object_change as change
    where change.id > (select greatest(horizon_floor, last_id, first_id) from jobhooks.cursor)
    order by change.id
    limit :limit::integer
)
select
    count(*) filter (where triggering) + case
        when count(*) < :limit::integer then 0
        else greatest((select last_value from jobhooks.object_change_id_seq) - max(id), 0)
    end,
    min(time) filter (where triggering),
    clock_timestamp()
from page

-- name: lagging_hooks
-- The hooks that read alone or are paused: the one that is behind the longest first.
select
    hook.name, hook.paused, lagging.changes, lagging.oldest,
    extract(epoch from clock_timestamp() - lagging.oldest)::double precision, lagging.held_changes, lagging.held_bytes,
    rate.next_at
from jobhooks.lagging_hooks(:looked_at::integer) as lagging
join jobhooks.job_hook as hook on hook.id = lagging.hook_id
cross join lateral jobhooks.rate_waits(hook.id) as rate
order by lagging.oldest, hook.name

-- name: pending_deliveries_by_hook
-- Of the first :limit pending deliveries.
select
    hook.name, pending.running, pending.interrupted, pending.retrying, pending.waiting, pending.paused, pending.blocked,
    pending.dead, pending.oldest_due_at,
    extract(epoch from pending.oldest_due_at - clock_timestamp())::double precision, pending.waits_for, pending.counted
from (
    select
        delivery.hook_id,
        min(delivery.due_at) filter (
            where delivery.state in ('waiting', 'retrying') and delivery.waits_for is distinct from 'hook'
        ) as oldest_due_at,
        (array_agg(delivery.waits_for order by delivery.waits_for = 'hook', delivery.due_at nulls last) filter (
            where delivery.state in ('waiting', 'retrying', 'paused')
        ))[1] as waits_for,
        count(*) filter (where delivery.state = 'running') as running,
        count(*) filter (where delivery.state = 'interrupted') as interrupted,
        count(*) filter (where delivery.state = 'retrying') as retrying,
        count(*) filter (where delivery.state = 'waiting') as waiting,
        count(*) filter (where delivery.state = 'paused') as paused,
        count(*) filter (where delivery.state = 'blocked') as blocked,
        count(*) filter (where delivery.state = 'dead') as dead,
        count(*) as counted_for_hook, sum(count(*)) over ()::bigint as counted
    from jobhooks.delivery_states(null, :limit) as delivery
    group by delivery.hook_id
) as pending
left join jobhooks.job_hook as hook on hook.id = pending.hook_id
order by pending.dead desc, pending.counted_for_hook desc, hook.name

-- name: held_up_deliveries
-- The hooks with dead deliveries, those that hold up most first; of the first :limit pending deliveries.
select hook.name, held.dead, held.held_up, held.held_up_keys, held.oldest_dead
from jobhooks.held_up_deliveries(:limit) as held
left join jobhooks.job_hook as hook on hook.id = held.hook_id
order by held.held_up desc, held.dead desc, hook.name

-- name: recent_results
-- Statistics over the results of the last :seconds, among the newest :limit results: since when they are complete, their number in
-- all, by status and in the last minute, and the median and 95th percentile of the seconds from a change to its success, over the
-- newest :timed_limit successes.
with newest as materialized (
    select change_id, status, finished_at
    from jobhooks.job_result
    order by change_id desc, hook_id desc, attempt desc
    limit :limit
),
recent as (
    select * from newest where finished_at >= clock_timestamp() - :seconds::double precision * interval '1 second'
),
delays as (
    select percentile_cont(array[0.5, 0.95]) within group (
        order by extract(epoch from success.finished_at - change.time)::double precision
    ) as of_them
    from (select * from recent where status = 'success' order by change_id desc limit :timed_limit) as success
    join jobhooks.object_change as change on change.id = success.change_id
),
extent as (
    select greatest(
        clock_timestamp() - :seconds::double precision * interval '1 second',
        case when count(*) = :limit then min(finished_at) end
    ) as since
    from newest
)
select
    extent.since, extract(epoch from clock_timestamp() - extent.since)::double precision,
    count(recent.status), count(*) filter (where recent.status = 'success'),
    count(*) filter (where recent.status = 'failure'), count(*) filter (where recent.status = 'discarded'),
    count(*) filter (where recent.finished_at >= clock_timestamp() - interval '1 minute'),
    delays.of_them[1], delays.of_them[2]
from extent
cross join delays
left join recent on true
group by extent.since, delays.of_them

-- name: extent_of_log
-- Segments, bytes, the oldest change and its time, and the newest; then the bytes of the results with their log lines.
select
    (select count(*) from jobhooks.log_segment),
    (
        select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
        from pg_inherits
        where inhparent = 'jobhooks.object_change'::regclass
    ),
    oldest.id, oldest.time,
    (select id from jobhooks.object_change order by id desc limit 1),
    coalesce(pg_total_relation_size('jobhooks.job_result'), 0) + coalesce(pg_total_relation_size('jobhooks.job_log_entry'), 0)
from (select) as one
left join (select id, time from jobhooks.object_change order by id limit 1) as oldest on true

-- name: leader_at_work
select session from (select jobhooks.leader_session()) as leader (session) where session is not null
