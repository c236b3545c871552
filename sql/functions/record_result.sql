-- jobhooks.record_result(...): record what an attempt at a delivery did, with its log lines; returns the result's id.
--
-- Called in the receiver's own transaction (in_receivers_transaction), it refuses where that transaction is not the
-- one that was opened for this delivery any more: a receiver that commits by itself would otherwise have its writes
-- kept and its result lost, or the other way round. Called a second time for an attempt, it refuses too, so that a
-- daemon that was taken for dead rolls back. log_entries: an array of {level, time, object, message}, oldest first.
create or replace function jobhooks.record_result(
    change_id bigint,
    hook_id integer,
    attempt integer,
    status text,
    started_at timestamptz,
    error text,
    traceback text,
    log_entries json,
    in_receivers_transaction boolean
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    delivery constant text := format('%s:%s:%s', change_id, hook_id, attempt);
    job_result_id bigint;
begin
    if in_receivers_transaction and current_setting('jobhooks.delivery', true) is distinct from delivery then
        raise exception 'the receiver ended the transaction that it was given, or changed its mark'
        using errcode = 'JH011';
    end if;

    insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error, traceback)
    select
        record_result.change_id, record_result.hook_id, hook.job_id, record_result.attempt, record_result.status,
        record_result.started_at, record_result.error, record_result.traceback
    from jobhooks.job_hook as hook
    where hook.id = record_result.hook_id
    on conflict on constraint job_result_once do nothing
    returning id into job_result_id;
    if job_result_id is null then
        raise exception 'delivery % is already settled, or its hook is gone', delivery using errcode = 'JH010';
    end if;

    insert into jobhooks.job_log_entry (job_result_id, line, level, time, object, message)
    select
        job_result_id, entry.line, entry.value ->> 'level', (entry.value ->> 'time')::timestamptz,
        entry.value ->> 'object', entry.value ->> 'message'
    from json_array_elements(log_entries) with ordinality as entry (value, line);
    return job_result_id;
end
$$;

comment on function jobhooks.record_result(bigint, integer, integer, text, timestamptz, text, text, json, boolean) is
'Record what an attempt at a delivery did, with its log lines; returns the result''s id';
