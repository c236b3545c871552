-- Why a hook got a change, or did not.

-- name: explained_hooks
-- The hooks, or the one called :name, by name: as the engine loads them, with what decides about a change beside its rows. passed_over:
-- the daemon began to read behind the change. is_read: it has read it, and settled it or put it into the backlog; as in
-- replayable_changes. changed_at: when the hook was last changed, if that was after the change; its creation does not count.
select
    loaded.id, loaded.job_id, loaded.content_type_ids, loaded.enabled_since, loaded.queue_limit, loaded.runs, loaded.settings,
    loaded.limits, loaded.child_ids,
    job.enabled, job.installed, taken.error, known.reason, rate.next_at,
    change.id <= cursor.first_id as passed_over,
    coalesce(
        pg_visible_in_snapshot(change.transaction_id, coalesce(own.seen, cursor.seen))
        or (
            change.id <= coalesce(own.last_id, cursor.last_id)
            and pg_visible_in_snapshot(change.transaction_id, coalesce(own.horizon, cursor.horizon))
        ), false
    ) as is_read,
    own.hook_id is not null as reads_alone,
    jobhooks.leader_session() is not null as is_led,
    (
        select max(edit.time)
        from jobhooks.configuration_change as edit
        where edit.kind = 'hook' and edit.object_id = loaded.id and edit.time > change.time and edit.before is not null
    ) as changed_at
from jobhooks.loaded_hooks as loaded
join jobhooks.job as job on job.id = loaded.job_id
join jobhooks.object_change as change on change.id = :change_id
cross join jobhooks.cursor as cursor
cross join lateral jobhooks.rate_waits(loaded.id) as rate
left join jobhooks.hook_position as own on own.hook_id = loaded.id
left join jobhooks.hook_loop as known on known.hook_id = loaded.id
left join jobhooks.data_verdict as taken
    on taken.hook_id = loaded.id and taken.job_id = loaded.job_id
    and taken.data = (loaded.settings::jsonb -> 'data')
where :name::text is null or loaded.name = :name::text
order by loaded.name

-- name: settled_with
-- Changes near this one with a result of the hook that begins and ends with the last one of this change: merged with it, or of the
-- same batch. Left out are changes without a run, which an operator has discarded: a coarse clock could give several one moment. Merged
-- changes that come to nothing, with the error :nothing, also begin and end in one moment.
select other.change_id
from jobhooks.job_result as result
join jobhooks.job_result as other
    on other.hook_id = result.hook_id and other.change_id between :first_id::bigint and :last_id::bigint
    and other.change_id <> result.change_id
    and other.started_at = result.started_at and other.finished_at = result.finished_at
    and other.status = result.status and other.error is not distinct from result.error
    and (other.status <> 'discarded' or other.finished_at > other.started_at or other.error = :nothing)
where result.change_id = :change_id and result.hook_id = :hook_id
    and result.attempt = (
        select max(attempt) from jobhooks.job_result where change_id = :change_id and hook_id = :hook_id
    )
order by other.change_id
limit :limit::integer

-- name: merged_into
-- The change whose run includes this delivery now.
select merged_into from jobhooks.running_delivery
where change_id = :change_id and hook_id = :hook_id and merged_into is not null
