-- jobhooks.record_failures(rest): failures, log lines, and changes of the backlog; a part of settle.
--
-- rest: {results: [{change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback, value}],
-- log: [{change_id, hook_id, attempt, line, level, time, object, message}],
-- parked: [{change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, attempted, blocks, status, due_in}],
-- paid: [{change_id, hook_id, attempt}]}; each may be missing. A delivery parked because of an attempt stays as it is if
-- another session has written that attempt's result. A delivery without a time to wait for is parked as blocked, and becomes
-- due immediately if nothing blocks it; the same holds for one that was loaded from the backlog and is returned.
--
-- A row that counts more attempts than this daemon knows of was discarded and queued again, or failed under another daemon: it
-- is a different delivery from the one parked or done here, and stays. A row stays in the lanes in which it was first parked,
-- even if the key of its table changes, because its followers are there.
create or replace function jobhooks.record_failures(rest json)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan -- as in release_followers
set enable_seqscan = off
as $$
declare
    parked jobhooks.delivery [];
    gone jobhooks.delivery [];
begin
    with written as (
        insert into jobhooks.job_result (
            change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback, value
        )
        select
            result.change_id, result.hook_id, result.job_id, result.attempt, result.status,
            to_timestamp(result.started_at), to_timestamp(result.finished_at), result.error, result.traceback,
            result.value::json
        from json_to_recordset(rest -> 'results') as result (
            change_id bigint, hook_id integer, job_id integer, attempt integer, status text,
            started_at double precision, finished_at double precision, error text, traceback text, value text
        )
        on conflict do nothing
        returning change_id, hook_id, attempt
    ),
    owed as (
        insert into jobhooks.delivery as delivery (
            change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, blocks, status, due_at
        )
        select
            debt.change_id, debt.hook_id, debt.content_type_id, debt.lane, debt.other_lane, debt.attempts,
            debt.failures, debt.blocks, debt.status,
            case when debt.status = 'waiting' then clock_timestamp() + debt.due_in * interval '1 second' end
        from json_to_recordset(rest -> 'parked') as debt (
            change_id bigint, hook_id integer, content_type_id integer, lane bigint, other_lane bigint, attempts integer,
            failures integer, attempted boolean, blocks boolean, status text, due_in double precision
        )
        where not debt.attempted
            or exists (
                select from written
                where written.change_id = debt.change_id and written.hook_id = debt.hook_id
                    and written.attempt = debt.attempts
            )
        on conflict (change_id, hook_id) do update
        set attempts = excluded.attempts, failures = excluded.failures, blocks = excluded.blocks,
            status = excluded.status, due_at = excluded.due_at
        where delivery.attempts <= excluded.attempts
        returning delivery
    )
    select array_agg(owed.delivery) into parked from owed;

    insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message)
    select entry.change_id, entry.hook_id, entry.attempt, entry.line, entry.level, entry.time, entry.object, entry.message
    from json_to_recordset(rest -> 'log') as entry (
        change_id bigint, hook_id integer, attempt integer, line integer, level text, time timestamptz, object text,
        message text
    )
    on conflict do nothing;

    with deleted as (
        delete from jobhooks.delivery as delivery
        using json_to_recordset(rest -> 'paid') as paid (change_id bigint, hook_id integer, attempt integer)
        where delivery.change_id = paid.change_id and delivery.hook_id = paid.hook_id and delivery.attempts < paid.attempt
        returning delivery
    )
    select array_agg(deleted.delivery) into gone from deleted;

    -- Those that stay have been passed over by the daemon, which had an attempt of them in hand: so that it finds them.
    if coalesce(cardinality(parked), 0) < json_array_length(coalesce(rest -> 'parked', '[]'))
        or coalesce(cardinality(gone), 0) < json_array_length(coalesce(rest -> 'paid', '[]')) then
        update jobhooks.delivery as delivery
        set due_at = clock_timestamp()
        from (
            select debt.change_id, debt.hook_id
            from json_to_recordset(rest -> 'parked') as debt (change_id bigint, hook_id integer)
            union
            select debt.change_id, debt.hook_id
            from json_to_recordset(rest -> 'paid') as debt (change_id bigint, hook_id integer)
        ) as debt
        where delivery.change_id = debt.change_id and delivery.hook_id = debt.hook_id
            and delivery.status = 'waiting' and delivery.due_at < clock_timestamp();
    end if;

    if parked is not null or gone is not null then
        perform jobhooks.release_followers(to_json(parked || gone));
    end if;
end
$$;

comment on function jobhooks.record_failures(json) is 'Failures, log lines, and changes of the backlog; a part of settle';
