-- jobhooks.record_failures(rest): failures, log lines, and changes of the backlog; a part of settle. Returns how many of the rows
-- to be parked or deleted were not: another session has changed them, so the daemon compares its backlog with the table.
--
-- rest: {results: [{change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback, value, version}],
-- log: [{change_id, hook_id, attempt, line, level, time, object, message, grouping, source}],
-- parked: [{change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, lasting, attempted, blocks, status,
-- due_in}], done: [{change_id, hook_id, attempt}]}; each may be missing, and its statement is not planned then: most calls have one.
-- A delivery parked because of an attempt stays as it is if another session has written that attempt's result.
--
-- A row that counts more attempts than this daemon knows of was discarded and queued again, or failed under another daemon: it
-- is a different delivery from the one parked or done here, and stays. A hook that was deleted gets no row: it could not be
-- attempted. A row stays in the lanes in which it was first parked, even if the key of its table changes, because its followers
-- are there.
create or replace function jobhooks.record_failures(rest json)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan -- the backlog grows and shrinks faster than the planner's statistics
set enable_seqscan = off
set jit = off -- that setting can raise the estimated costs above jit_above_cost
as $$
declare
    results constant json := rest -> 'results';
    log constant json := rest -> 'log';
    parked constant json := rest -> 'parked';
    done constant json := rest -> 'done';
    refused bigint := coalesce(json_array_length(parked), 0) + coalesce(json_array_length(done), 0);
    count bigint;
begin
    if results is not null or parked is not null then
        with written as (
            insert into jobhooks.job_result (
                change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback, value, version
            )
            select
                result.change_id, result.hook_id, result.job_id, result.attempt, result.status,
                to_timestamp(result.started_at), to_timestamp(result.finished_at), result.error, result.traceback,
                result.value::json, result.version
            from json_to_recordset(results) as result (
                change_id bigint, hook_id integer, job_id integer, attempt integer, status text,
                started_at double precision, finished_at double precision, error text, traceback text, value text,
                version bigint
            )
            on conflict do nothing
            returning change_id, hook_id, attempt
        )
        insert into jobhooks.delivery as delivery (
            change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, lasting, blocks, status, due_at
        )
        select
            waiting.change_id, waiting.hook_id, waiting.content_type_id, waiting.lane, waiting.other_lane, waiting.attempts,
            waiting.failures, coalesce(waiting.lasting, false), waiting.blocks, waiting.status,
            clock_timestamp() + waiting.due_in * interval '1 second'
        from json_to_recordset(parked) as waiting (
            change_id bigint, hook_id integer, content_type_id integer, lane bigint, other_lane bigint, attempts integer,
            failures integer, lasting boolean, attempted boolean, blocks boolean, status text, due_in double precision
        )
        where exists (select from jobhooks.job_hook as hook where hook.id = waiting.hook_id)
            and (
                not waiting.attempted
                or exists (
                    select from written
                    where written.change_id = waiting.change_id and written.hook_id = waiting.hook_id
                        and written.attempt = waiting.attempts
                )
            )
        on conflict (change_id, hook_id) do update
        set attempts = excluded.attempts, failures = excluded.failures, lasting = excluded.lasting, blocks = excluded.blocks,
            status = excluded.status, due_at = excluded.due_at
        where delivery.attempts <= excluded.attempts;
        get diagnostics count = row_count;
        refused := refused - count;
    end if;

    if log is not null then
        insert into jobhooks.job_log_entry (
            change_id, hook_id, attempt, line, level, time, object, message, grouping, source
        )
        select
            entry.change_id, entry.hook_id, entry.attempt, entry.line, entry.level, entry.time, entry.object, entry.message,
            entry.grouping, entry.source
        from json_to_recordset(log) as entry (
            change_id bigint, hook_id integer, attempt integer, line integer, level text, time timestamptz, object text,
            message text, grouping text, source text
        )
        on conflict do nothing;
    end if;

    if done is not null then
        delete from jobhooks.delivery as delivery
        using json_to_recordset(done) as ended (change_id bigint, hook_id integer, attempt integer)
        where delivery.change_id = ended.change_id and delivery.hook_id = ended.hook_id
            and delivery.attempts < ended.attempt;
        get diagnostics count = row_count;
        refused := refused - count;
    end if;
    return refused;
end
$$;

comment on function jobhooks.record_failures(json) is 'Failures, log lines, and changes of the backlog; a part of settle';
