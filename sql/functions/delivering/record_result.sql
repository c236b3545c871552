-- jobhooks.record_result(...): record the outcome of an attempt at a delivery, in the transaction of its receiver.
--
-- It refuses if that transaction is no longer the one that was opened for this delivery: after a receiver's commit the writes
-- could be kept and the result lost, or the reverse. It refuses an attempt that already has a result, so a daemon that was
-- presumed dead rolls back. log_entries: an array of {level, time, object, message, grouping, source}, oldest first, or null; value: the
-- receiver's return value; times are seconds since 1970; version: the receiver's, as in jobhooks.receiver_version.
create or replace function jobhooks.record_result(
    change_id bigint,
    hook_id integer,
    job_id integer,
    attempt integer,
    status text,
    started_at double precision,
    finished_at double precision,
    error text,
    log_entries json,
    value json,
    version bigint default null
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    delivery constant text := concat_ws(':', change_id, hook_id, attempt);
begin
    -- Of a run in a chain, the mark also has the depth of its writes.
    if current_setting('jobhooks.delivery', true) is distinct from delivery
        and starts_with(current_setting('jobhooks.delivery', true), delivery || ':') is not true then
        raise exception 'the receiver ended the transaction that it was given, or changed its mark'
        using errcode = 'JH011';
    end if;

    insert into jobhooks.job_result (
        change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, value, version
    )
    values (
        record_result.change_id, record_result.hook_id, record_result.job_id, record_result.attempt, record_result.status,
        to_timestamp(record_result.started_at), to_timestamp(record_result.finished_at), record_result.error,
        record_result.value, record_result.version
    )
    on conflict on constraint job_result_pkey do nothing;
    if not found then
        raise exception 'delivery % is already settled', delivery using errcode = 'JH010';
    end if;

    if log_entries is not null then
        insert into jobhooks.job_log_entry (
            change_id, hook_id, attempt, line, level, time, object, message, grouping, source
        )
        select
            record_result.change_id, record_result.hook_id, record_result.attempt, entry.line, entry.value ->> 'level',
            (entry.value ->> 'time')::timestamptz, entry.value ->> 'object', entry.value ->> 'message',
            entry.value ->> 'grouping', entry.value ->> 'source'
        from json_array_elements(log_entries) with ordinality as entry (value, line);
    end if;
end
$$;

comment on function jobhooks.record_result(
    bigint, integer, integer, integer, text, double precision, double precision, text, json, json, bigint
) is
'Record the outcome of an attempt at a delivery, in the transaction of its receiver';
