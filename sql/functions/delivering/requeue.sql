-- jobhooks.requeue(deliveries): queue deliveries again that were settled before, or never due; returns how many are pending now.
--
-- deliveries: [{change_id, hook_id, content_type_id, lane, other_lane}]. A delivery in the backlog stays as it is. Attempts are
-- numbered on from the last result. Each delivery waits for older ones of its lane, and blocks younger ones. It must not be one
-- that the daemon holds in memory only: the query replayable_changes leaves those out. Security definer, and with the cursor's
-- row locked, as in retry_deliveries. A segment of the log that is read here cannot be dropped before the commit.
create or replace function jobhooks.requeue(deliveries json)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
    parked bigint;
begin
    perform from jobhooks.cursor for update;
    with written as (
        insert into jobhooks.delivery as delivery (
            change_id, hook_id, content_type_id, lane, other_lane, attempts, status, due_at
        )
        select
            queued.change_id, queued.hook_id, queued.content_type_id, queued.lane, queued.other_lane,
            coalesce(
                (
                    select max(result.attempt)
                    from jobhooks.job_result as result
                    where result.change_id = queued.change_id and result.hook_id = queued.hook_id
                ), 0
            ),
            'waiting', clock_timestamp()
        from json_to_recordset(deliveries) as queued (
            change_id bigint, hook_id integer, content_type_id integer, lane bigint, other_lane bigint
        )
        where exists (select from jobhooks.object_change as change where change.id = queued.change_id)
            and exists (select from jobhooks.job_hook as hook where hook.id = queued.hook_id)
        on conflict do nothing
        returning delivery.change_id
    )
    select count(*) into parked from written;
    perform pg_notify('jobhooks', 'deliveries');
    return parked;
end
$$;

comment on function jobhooks.requeue(json) is
'Queue deliveries again that were settled before, or never due; returns how many are pending now';
