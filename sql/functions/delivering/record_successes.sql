-- jobhooks.record_successes(...): record the results of runs that share a transaction, in it.
--
-- The arrays are the results, element by element, of runs of one hook that succeeded; times are seconds since 1970; version: as
-- in record_result. It refuses if the transaction is no longer the one that was opened for them, and if one of them already has a result, as
-- record_result does.
create or replace function jobhooks.record_successes(
    change_ids bigint [],
    hook_id integer,
    job_id integer,
    attempts integer [],
    started_at double precision [],
    finished_at double precision [],
    version bigint default null
)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    mark constant text := current_setting('jobhooks.delivery', true);
    written bigint;
begin
    if split_part(mark, ':', 2) is distinct from hook_id::text then
        raise exception 'a receiver ended the transaction that it was given, or changed its mark'
        using errcode = 'JH011';
    end if;

    insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, version)
    select
        result.change_id, record_successes.hook_id, record_successes.job_id, result.attempt, 'success',
        to_timestamp(result.started_at), to_timestamp(result.finished_at), record_successes.version
    from unnest(change_ids, attempts, started_at, finished_at) as result (change_id, attempt, started_at, finished_at)
    on conflict on constraint job_result_pkey do nothing;
    get diagnostics written = row_count;
    if written <> cardinality(change_ids) then
        raise exception 'one of % deliveries is already settled', cardinality(change_ids) using errcode = 'JH010';
    end if;
end
$$;

comment on function jobhooks.record_successes(
    bigint [], integer, integer, integer [], double precision [], double precision [], bigint
) is 'Record the results of runs that share a transaction, in it';
