-- jobhooks.register_jobs(found, complete): bring the jobs in line with the receivers that were found.
--
-- found: an array of objects with the columns of jobhooks.job that a receiver says about itself. A new job is installed and
-- not enabled. complete: found is all that there is, so that other jobs are not installed any more; they keep the rest.
create or replace function jobhooks.register_jobs(found json, complete boolean)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.job as job (
        class_path, name, description, soft_time_limit_s, time_limit_s, max_attempts, backoff_s, on_failure, concurrency,
        hidden, grouping, has_sensitive_variables, queue, is_singleton, order_by, order_columns, batch_size, batch_wait_s
    )
    select
        receiver.class_path, receiver.name, receiver.description, receiver.soft_time_limit_s, receiver.time_limit_s,
        receiver.max_attempts, receiver.backoff_s, receiver.on_failure, receiver.concurrency, receiver.hidden,
        receiver.grouping, receiver.has_sensitive_variables, receiver.queue, receiver.is_singleton, receiver.order_by,
        receiver.order_columns, receiver.batch_size, receiver.batch_wait_s
    from json_to_recordset(register_jobs.found) as receiver (
        class_path text, name text, description text, soft_time_limit_s double precision, time_limit_s double precision,
        max_attempts integer, backoff_s double precision, on_failure text, concurrency integer, hidden boolean,
        grouping text, has_sensitive_variables boolean, queue text, is_singleton boolean, order_by text,
        order_columns text [], batch_size integer, batch_wait_s double precision
    )
    on conflict (class_path) do update
    set name = excluded.name,
        description = excluded.description,
        soft_time_limit_s = excluded.soft_time_limit_s,
        time_limit_s = excluded.time_limit_s,
        max_attempts = excluded.max_attempts,
        backoff_s = excluded.backoff_s,
        on_failure = excluded.on_failure,
        concurrency = excluded.concurrency,
        hidden = excluded.hidden,
        grouping = excluded.grouping,
        has_sensitive_variables = excluded.has_sensitive_variables,
        queue = excluded.queue,
        is_singleton = excluded.is_singleton,
        order_by = excluded.order_by,
        order_columns = excluded.order_columns,
        batch_size = excluded.batch_size,
        batch_wait_s = excluded.batch_wait_s,
        installed = true
    where (
            job.name, job.description, job.soft_time_limit_s, job.time_limit_s, job.max_attempts, job.backoff_s,
            job.on_failure, job.concurrency, job.hidden, job.grouping, job.has_sensitive_variables, job.queue,
            job.is_singleton, job.order_by, job.order_columns, job.batch_size, job.batch_wait_s, job.installed
        ) is distinct from (
            excluded.name, excluded.description, excluded.soft_time_limit_s, excluded.time_limit_s,
            excluded.max_attempts, excluded.backoff_s, excluded.on_failure, excluded.concurrency, excluded.hidden,
            excluded.grouping, excluded.has_sensitive_variables, excluded.queue, excluded.is_singleton,
            excluded.order_by, excluded.order_columns, excluded.batch_size, excluded.batch_wait_s, true
        );

    update jobhooks.job
    set installed = false
    where register_jobs.complete
        and installed
        and class_path not in (select value ->> 'class_path' from json_array_elements(register_jobs.found));
$$;

comment on function jobhooks.register_jobs(json, boolean) is 'Bring the jobs in line with the receivers that were found';
