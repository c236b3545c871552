-- Queries of the fixtures for authors of receivers, in a test's separate database.

-- name: hook_from_the_beginning
-- Changes already in the log are also for the hook.
update jobhooks.job_hook set enabled_since = '1:1:' where name = :name returning id

-- name: hasten_backlog
-- Makes the pending deliveries of these jobs due now, except failed ones, and counts them.
with due as (
    update jobhooks.delivery set due_at = least(due_at, clock_timestamp())
    where status = 'waiting' and failures = 0 and due_at > clock_timestamp()
        and hook_id in (
            select hook.id
            from jobhooks.job_hook as hook
            join jobhooks.job as job on job.id = hook.job_id
            where job.class_path = any(:class_paths)
        )
    returning change_id
)
select count(*) from due

-- name: results_of_attempts
select
    result.hook, result.change_id, change.action::text, result.attempt, result.status, result.error, attempt.traceback,
    result.value, result.log
from jobhooks.results as result
join jobhooks.object_change as change on change.id = result.change_id
join jobhooks.job_hook as hook on hook.name = result.hook
join jobhooks.job_result as attempt
    on attempt.change_id = result.change_id and attempt.hook_id = hook.id and attempt.attempt = result.attempt
order by result.change_id, result.attempt, result.hook
