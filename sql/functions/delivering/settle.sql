-- jobhooks.settle(...): write the results of a batch of attempts, and the changes of the backlog.
--
-- The arrays are the results of successful attempts, element by element; times are seconds since 1970; versions: those of the
-- receivers, as in record_result, or a single one for all. rest, null if there is nothing else: {results, log, parked, done} for record_failures. It refuses a daemon that no longer leads. A new leader updates
-- that row, so the lock makes it wait until this commits, and it reads the backlog including these changes. A key share lock
-- would not do: an update that keeps the key does not wait for one. Returns how many results existed before,
-- and how many rows of the backlog could not be changed, because another session has changed them.
create or replace function jobhooks.settle(
    leader bigint,
    change_ids bigint [],
    hook_ids integer [],
    job_ids integer [],
    attempts integer [],
    started_at double precision [],
    finished_at double precision [],
    rest json,
    versions bigint [] default null
)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    common constant bigint := case when cardinality(versions) = 1 then versions[1] end;
    written bigint := 0;
    refused bigint := 0;
begin
    perform from jobhooks.cursor where cursor.leader = settle.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;

    if cardinality(change_ids) > 0 then
        insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, version)
        select
            result.change_id, result.hook_id, result.job_id, result.attempt, 'success',
            to_timestamp(result.started_at), to_timestamp(result.finished_at), coalesce(result.version, common)
        from unnest(change_ids, hook_ids, job_ids, attempts, started_at, finished_at, versions) as result (
            change_id, hook_id, job_id, attempt, started_at, finished_at, version
        )
        on conflict do nothing;
        get diagnostics written = row_count;
    end if;
    if rest is not null then
        refused := jobhooks.record_failures(rest);
    end if;
    return cardinality(change_ids) - written + refused;
end
$$;

comment on function jobhooks.settle(
    bigint, bigint [], integer [], integer [], integer [], double precision [], double precision [], json, bigint []
) is 'Write the results of a batch of attempts, and the changes of the backlog';
