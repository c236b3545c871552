-- jobhooks.jobs: the jobs with the settings that are in force: the receiver's own, or what an operator said instead.
create or replace view jobhooks.jobs as
select
    job.class_path,
    chosen.name,
    chosen.description,
    job.installed,
    job.enabled,
    chosen.hidden,
    chosen.grouping,
    chosen.soft_time_limit_s,
    chosen.time_limit_s,
    chosen.max_attempts,
    chosen.backoff_s,
    chosen.on_failure,
    chosen.concurrency,
    chosen.has_sensitive_variables,
    chosen.queue,
    chosen.is_singleton,
    chosen.order_by,
    chosen.order_columns,
    case when job.batch_size is not null then chosen.batch_size end as batch_size, -- else it takes one, whoever says what
    chosen.batch_wait_s,
    array(select jsonb_object_keys(job.overrides) order by 1) as overridden,
    job.id
from jobhooks.job as job
cross join lateral jsonb_populate_record(job, job.overrides) as chosen;

comment on view jobhooks.jobs is 'The jobs with the settings that are in force: the receiver''s own, or what an operator said instead';
