-- jobhooks.register_jobs(found, complete): bring the jobs in line with the receivers that were found.
--
-- found: an array of {class_path, name, description, soft_time_limit_s, time_limit_s, max_attempts, backoff_s, on_failure,
-- concurrency}. A new job is installed and not enabled. complete: found is all that there is, so that other jobs are not
-- installed any more; they keep the rest.
create or replace function jobhooks.register_jobs(found json, complete boolean)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.job as job (
        class_path, name, description, soft_time_limit_s, time_limit_s, max_attempts, backoff_s, on_failure, concurrency
    )
    select
        receiver.class_path, receiver.name, receiver.description, receiver.soft_time_limit_s, receiver.time_limit_s,
        receiver.max_attempts, receiver.backoff_s, receiver.on_failure, receiver.concurrency
    from json_to_recordset(register_jobs.found) as receiver (
        class_path text, name text, description text, soft_time_limit_s double precision, time_limit_s double precision,
        max_attempts integer, backoff_s double precision, on_failure text, concurrency integer
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
        installed = true
    where (
            job.name, job.description, job.soft_time_limit_s, job.time_limit_s, job.max_attempts, job.backoff_s,
            job.on_failure, job.concurrency, job.installed
        ) is distinct from (
            excluded.name, excluded.description, excluded.soft_time_limit_s, excluded.time_limit_s, excluded.max_attempts,
            excluded.backoff_s, excluded.on_failure, excluded.concurrency, true
        );

    update jobhooks.job
    set installed = false
    where register_jobs.complete
        and installed
        and class_path not in (select value ->> 'class_path' from json_array_elements(register_jobs.found));
$$;

comment on function jobhooks.register_jobs(json, boolean) is 'Bring the jobs in line with the receivers that were found';
