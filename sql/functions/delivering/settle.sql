-- jobhooks.settle(...): write down what a batch of attempts did, and what is owed from now on.
--
-- The arrays are the results of attempts that succeeded, element by element; times are seconds since 1970. rest, null
-- where there is nothing else: {results, log, parked, paid} as record_failures takes them. Refuses whoever leads no more; the
-- lock on that row has a new leader, who updates it, wait until this has committed: so it reads no debt that this changes
-- yet. A key share lock would not: an update that leaves the key as it is does not wait for one. Returns how many of the
-- results were there before.
create or replace function jobhooks.settle(
    leader bigint,
    change_ids bigint [],
    hook_ids integer [],
    job_ids integer [],
    attempts integer [],
    started_at double precision [],
    finished_at double precision [],
    rest json
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    written bigint := 0;
begin
    perform from jobhooks.cursor where cursor.leader = settle.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;

    if cardinality(change_ids) > 0 then
        insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at)
        select
            result.change_id, result.hook_id, result.job_id, result.attempt, 'success',
            to_timestamp(result.started_at), to_timestamp(result.finished_at)
        from unnest(change_ids, hook_ids, job_ids, attempts, started_at, finished_at) as result (
            change_id, hook_id, job_id, attempt, started_at, finished_at
        )
        on conflict do nothing;
        get diagnostics written = row_count;
    end if;
    if rest is not null then
        perform jobhooks.record_failures(rest);
    end if;
    return cardinality(change_ids) - written;
end
$$;

comment on function jobhooks.settle(
    bigint, bigint [], integer [], integer [], integer [], double precision [], double precision [], json
) is 'Write down what a batch of attempts did, and what is owed from now on';
