-- The demo's description of the log.

-- name: told_changes
-- Changes, each with its results and their log lines.
select
    change.id, change.action::text, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
    change.triggering, (change.context -> 'caused_by' ->> 'change')::bigint, change.prechange::text, change.postchange::text,
    (
        select coalesce(json_agg(result order by result.attempt), '[]')
        from (
            select
                hook.name as hook, job.class_path as receiver, job_result.status, job_result.attempt,
                extract(epoch from job_result.finished_at - job_result.started_at) * 1000 as duration_ms,
                job_result.error,
                (
                    select coalesce(json_agg(json_build_object('level', level, 'message', message) order by line), '[]')
                    from jobhooks.job_log_entry
                    where (job_log_entry.change_id, job_log_entry.hook_id, job_log_entry.attempt)
                            = (job_result.change_id, job_result.hook_id, job_result.attempt)
                ) as log
            from jobhooks.job_result
            join jobhooks.job_hook as hook on hook.id = job_result.hook_id
            join jobhooks.job on job.id = job_result.job_id
            where job_result.change_id = change.id
        ) as result
    )
from jobhooks.object_change as change
join jobhooks.content_type on content_type.id = change.content_type_id
where change.id > :after_id
order by change.id

-- name: told_runs
-- Results that ended after a moment, each with its log lines.
select
    result.change_id, result.finished_at,
    jsonb_build_object(
        'hook', hook.name, 'receiver', job.class_path, 'status', result.status, 'attempt', result.attempt,
        'duration_ms', extract(epoch from result.finished_at - result.started_at) * 1000, 'error', result.error,
        'log', (
            select coalesce(jsonb_agg(jsonb_build_object('level', level, 'message', message) order by line), '[]')
            from jobhooks.job_log_entry
            where (job_log_entry.change_id, job_log_entry.hook_id, job_log_entry.attempt)
                    = (result.change_id, result.hook_id, result.attempt)
        )
    )
from jobhooks.job_result as result
join jobhooks.job_hook as hook on hook.id = result.hook_id
join jobhooks.job on job.id = result.job_id
where result.change_id > :after_id and result.finished_at > :finished_after
order by result.finished_at, result.change_id, hook.name
