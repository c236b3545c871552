-- jobhooks.settle_rest(rest): failures, log lines, and the debts that come and go; a part of settle.
--
-- rest: {results: [{change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback}],
-- log: [{change_id, hook_id, attempt, line, level, time, object, message}],
-- parked: [{change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, attempted, blocks, status, due_in}],
-- paid: [{change_id, hook_id}], lanes: as unblock takes them}; each may be missing. What is parked because of an attempt,
-- whose result somebody else has written, stays as it is. A delivery that need not wait for a time is parked as blocked, and
-- is due at once if nothing blocks it; so is one that was taken up as a debt, and is given back.
create or replace function jobhooks.settle_rest(rest json)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    with written as (
        insert into jobhooks.job_result (
            change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, traceback
        )
        select
            result.change_id, result.hook_id, result.job_id, result.attempt, result.status,
            to_timestamp(result.started_at), to_timestamp(result.finished_at), result.error, result.traceback
        from json_to_recordset(rest -> 'results') as result (
            change_id bigint, hook_id integer, job_id integer, attempt integer, status text,
            started_at double precision, finished_at double precision, error text, traceback text
        )
        on conflict do nothing
        returning change_id, hook_id, attempt
    )
    insert into jobhooks.delivery as delivery (
        change_id, hook_id, content_type_id, lane, other_lane, attempts, failures, blocks, status, due_at
    )
    select
        parked.change_id, parked.hook_id, parked.content_type_id, parked.lane, parked.other_lane, parked.attempts,
        parked.failures, parked.blocks, parked.status,
        case when parked.status = 'waiting' then clock_timestamp() + parked.due_in * interval '1 second' end
    from json_to_recordset(rest -> 'parked') as parked (
        change_id bigint, hook_id integer, content_type_id integer, lane bigint, other_lane bigint, attempts integer,
        failures integer, attempted boolean, blocks boolean, status text, due_in double precision
    )
    where not parked.attempted
        or exists (
            select from written
            where written.change_id = parked.change_id and written.hook_id = parked.hook_id
                and written.attempt = parked.attempts
        )
    on conflict (change_id, hook_id) do update
    set attempts = excluded.attempts, failures = excluded.failures, blocks = excluded.blocks,
        status = excluded.status, due_at = excluded.due_at;

    -- What was free before, and has one of these before it now, has not been taken up yet: it waits, too.
    update jobhooks.delivery as delivery
    set status = 'blocked', due_at = null
    from (
        select distinct parked.hook_id, number.lane, min(parked.change_id) as change_id
        from json_to_recordset(rest -> 'parked') as parked (
            change_id bigint, hook_id integer, lane bigint, other_lane bigint, blocks boolean
        )
        cross join lateral unnest(array[parked.lane, parked.other_lane]) as number (lane)
        where number.lane is not null and parked.blocks
        group by parked.hook_id, number.lane
    ) as older
    where delivery.hook_id = older.hook_id and delivery.lane = older.lane and delivery.change_id > older.change_id
        and delivery.blocks and delivery.status = 'waiting';

    insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message)
    select entry.change_id, entry.hook_id, entry.attempt, entry.line, entry.level, entry.time, entry.object, entry.message
    from json_to_recordset(rest -> 'log') as entry (
        change_id bigint, hook_id integer, attempt integer, line integer, level text, time timestamptz, object text,
        message text
    )
    on conflict do nothing;

    delete from jobhooks.delivery
    using json_to_recordset(rest -> 'paid') as paid (change_id bigint, hook_id integer)
    where delivery.change_id = paid.change_id and delivery.hook_id = paid.hook_id;

    perform jobhooks.unblock(rest -> 'lanes');
end
$$;

comment on function jobhooks.settle_rest(json) is 'Failures, log lines, and the debts that come and go; a part of settle';
