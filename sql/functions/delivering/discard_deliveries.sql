-- jobhooks.discard_deliveries(change_ids, hook_ids, reason): give up pending deliveries; returns how many.
--
-- The deliveries behind them can run then. The arrays name deliveries, element by element. It skips deliveries that are not in the
-- backlog, and one whose next attempt already has a result: it was delivered. The daemon ends a run once it has lasted for about a
-- second. If the run has a row by now, its lines and its receiver's version stay. A shorter one finds the result written here, and is
-- rolled back. Security definer, and with the cursor's row locked, as in retry_deliveries.
create or replace function jobhooks.discard_deliveries(change_ids bigint [], hook_ids integer [], reason text default null)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
    discarded bigint;
begin
    perform from jobhooks.cursor for update;
    with written as (
        insert into jobhooks.job_result (
            change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, version
        )
        select
            delivery.change_id, delivery.hook_id, coalesce(hook.job_id, 0), delivery.attempts + 1, 'discarded',
            clock_timestamp(), clock_timestamp(), coalesce(discard_deliveries.reason, 'discarded by ' || session_user),
            running.version
        from unnest(discard_deliveries.change_ids, discard_deliveries.hook_ids) as chosen (change_id, hook_id)
        join jobhooks.delivery as delivery
            on delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
        left join jobhooks.job_hook as hook on hook.id = delivery.hook_id -- which may be gone
        left join jobhooks.running_delivery as running
            on running.change_id = delivery.change_id and running.hook_id = delivery.hook_id
            and running.attempt = delivery.attempts + 1
        on conflict do nothing
        returning job_result.change_id, job_result.hook_id, job_result.attempt
    ),
    logged as (
        insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message, grouping, source)
        select
            entry.change_id, entry.hook_id, written.attempt, entry.line, entry.level, entry.time, entry.object, entry.message,
            entry.grouping, entry.source
        from written
        join jobhooks.running_delivery as running
            on running.change_id = written.change_id and running.hook_id = written.hook_id
            and running.attempt = written.attempt
        join jobhooks.running_log_entry as entry
            on entry.change_id = running.change_id and entry.hook_id = running.hook_id
        on conflict do nothing
    ),
    ended as (
        delete from jobhooks.running_delivery as running
        using written
        where running.change_id = written.change_id and running.hook_id = written.hook_id
    ),
    gone as (
        delete from jobhooks.delivery as delivery
        using written
        where delivery.change_id = written.change_id and delivery.hook_id = written.hook_id
        returning delivery.change_id
    )
    select count(*) into discarded from gone;
    perform pg_notify('jobhooks', 'deliveries');
    return discarded;
end
$$;

comment on function jobhooks.discard_deliveries(bigint [], integer [], text) is
'Give up pending deliveries; returns how many';
