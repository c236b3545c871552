-- jobhooks.record_results(...): record the outcome of one call of a receiver with many deliveries, in its transaction.
--
-- The arrays name the deliveries and attempts, element by element. The rest is the same for all, except the log lines and the
-- value, which belong to the first: as in record_result. It refuses if the transaction is no longer the one that was opened
-- for them, and if one of them already has a result.
create or replace function jobhooks.record_results(
    change_ids bigint [],
    hook_id integer,
    job_id integer,
    attempts integer [],
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
    written bigint;
begin
    perform jobhooks.record_result(
        change_ids[1], hook_id, job_id, attempts[1], status, started_at, finished_at, error, log_entries, value, version
    );
    insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, version)
    select
        result.change_id, record_results.hook_id, record_results.job_id, result.attempt, record_results.status,
        to_timestamp(record_results.started_at), to_timestamp(record_results.finished_at), record_results.error,
        record_results.version
    from unnest(change_ids[2:], attempts[2:]) as result (change_id, attempt)
    on conflict on constraint job_result_pkey do nothing;
    get diagnostics written = row_count;
    if written <> cardinality(change_ids) - 1 then
        raise exception 'one of % deliveries is already settled', cardinality(change_ids) using errcode = 'JH010';
    end if;
end
$$;

comment on function jobhooks.record_results(
    bigint [], integer, integer, integer [], text, double precision, double precision, text, json, json, bigint
) is 'Record the outcome of one call of a receiver with many deliveries, in its transaction';
