-- jobhooks.results: the outcome of each attempt at a delivery, with the receiver's log lines.
create or replace view jobhooks.results as
select
    result.change_id,
    coalesce(hook.name, jobhooks.deleted_name('hook', result.hook_id)) as hook,
    coalesce(job.class_path, jobhooks.deleted_name('job', result.job_id)) as job,
    result.attempt,
    result.status,
    result.started_at,
    result.finished_at - result.started_at as duration,
    result.error,
    array(
        select format('%s: %s', entry.level, concat_ws(': ', entry.object, entry.message))
        from jobhooks.job_log_entry as entry
        where entry.change_id = result.change_id and entry.hook_id = result.hook_id and entry.attempt = result.attempt
        order by entry.line
    ) as log,
    result.value,
    hook.id is null as hook_deleted,
    jobhooks.version_text(result.version) as version,
    known.package,
    (
        select jsonb_object_agg(counted.level, counted.lines)
        from (
            select entry.level, count(*) as lines
            from jobhooks.job_log_entry as entry
            where entry.change_id = result.change_id and entry.hook_id = result.hook_id and entry.attempt = result.attempt
            group by entry.level
        ) as counted
    ) as log_levels
from jobhooks.job_result as result
left join jobhooks.job_hook as hook on hook.id = result.hook_id
left join jobhooks.job as job on job.id = result.job_id
left join jobhooks.receiver_version as known on known.job_id = result.job_id and known.version = result.version;

comment on view jobhooks.results is 'The outcome of each attempt at a delivery, with the receiver''s log lines';
