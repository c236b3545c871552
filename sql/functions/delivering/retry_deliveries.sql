-- jobhooks.retry_deliveries(change_ids, hook_ids): make pending deliveries due now, without their failures; returns how many.
--
-- The arrays name deliveries, element by element; it skips those that are not in the backlog. The attempts stay, because they
-- number the results. A delivery that waits for an older one of its lane runs when that is done. Security definer, and with the
-- cursor's row locked: settle and this function wait for each other, and the daemon hears of it after the commit.
create or replace function jobhooks.retry_deliveries(change_ids bigint [], hook_ids integer [])
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
    retried bigint;
begin
    perform from jobhooks.cursor for update;
    with changed as (
        update jobhooks.delivery as delivery
        set status = 'waiting', due_at = clock_timestamp(), failures = 0, lasting = false, blocks = true
        from unnest(change_ids, hook_ids) as chosen (change_id, hook_id)
        where delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
        returning delivery.change_id
    )
    select count(*) into retried from changed;
    perform pg_notify('jobhooks', 'deliveries');
    return retried;
end
$$;

comment on function jobhooks.retry_deliveries(bigint [], integer []) is
'Make pending deliveries due now, without their failures; returns how many';
