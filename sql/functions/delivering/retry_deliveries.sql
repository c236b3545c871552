-- jobhooks.retry_deliveries(change_ids, hook_ids): make pending deliveries due now, without their failures; returns how many.
--
-- The arrays name deliveries, element by element; it skips those that are not in the backlog. The attempts stay, because they
-- number the results. A delivery that waits for an older one of its lane becomes due when that is done. Security definer, and
-- with the cursor's row locked: settle and this function wait for each other, so no delivery enters or leaves the backlog
-- between the update and release_followers.
create or replace function jobhooks.retry_deliveries(change_ids bigint [], hook_ids integer [])
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
    retried bigint;
    lanes json;
begin
    perform from jobhooks.cursor for update;
    with changed as (
        update jobhooks.delivery as delivery
        set status = 'blocked', due_at = null, failures = 0, blocks = true
        from unnest(change_ids, hook_ids) as chosen (change_id, hook_id)
        where delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
        returning delivery.change_id, delivery.hook_id, delivery.content_type_id, delivery.lane, delivery.other_lane
    )
    select count(*), json_agg(changed) into retried, lanes from changed;
    perform jobhooks.release_followers(lanes);
    perform pg_notify('jobhooks', 'deliveries');
    return retried;
end
$$;

comment on function jobhooks.retry_deliveries(bigint [], integer []) is
'Make pending deliveries due now, without their failures; returns how many';
