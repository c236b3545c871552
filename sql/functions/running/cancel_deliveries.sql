-- jobhooks.cancel_deliveries(change_ids, hook_ids, reason): end runs; returns how many are being ended.
--
-- The arrays name deliveries, element by element; it skips those that do not run, or have not run for about a second. The daemon ends
-- the run, and its attempt fails as cancelled: the delivery is dead, until an operator retries or discards it. A run that ends by
-- itself before that keeps its own result. If changes are merged, it ends the run of all of them. If no daemon leads, the run was
-- interrupted: its attempt fails now. Security definer, and with the cursor's row locked, as in retry_deliveries: no daemon begins to
-- lead in between.
create or replace function jobhooks.cancel_deliveries(change_ids bigint [], hook_ids integer [], reason text default null)
returns bigint
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '10s'
as $$
declare
    ending bigint;
begin
    perform from jobhooks.cursor for update;
    with chosen as (
        select distinct coalesce(named.merged_into, named.change_id) as change_id, named.hook_id
        from unnest(cancel_deliveries.change_ids, cancel_deliveries.hook_ids) as pair (change_id, hook_id)
        join jobhooks.running_delivery as named on named.change_id = pair.change_id and named.hook_id = pair.hook_id
    ),
    changed as (
        update jobhooks.running_delivery as running
        set cancelled = coalesce(
            running.cancelled,
            concat_ws(
                ': ',
                format('by %s at %s', session_user, to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')),
                nullif(cancel_deliveries.reason, '')
            )
        )
        from chosen
        join jobhooks.delivery as delivery on delivery.change_id = chosen.change_id and delivery.hook_id = chosen.hook_id
        where running.change_id = chosen.change_id and running.hook_id = chosen.hook_id
            and delivery.attempts = running.attempt - 1
            and not exists (
                select from jobhooks.job_result as result
                where result.change_id = running.change_id and result.hook_id = running.hook_id
                    and result.attempt = running.attempt
            )
        returning running.change_id
    )
    select count(*) into ending from changed;
    if jobhooks.leader_session() is null then
        perform jobhooks.settle_cancelled_runs(null);
    end if;
    perform pg_notify('jobhooks', 'deliveries');
    return ending;
end
$$;

comment on function jobhooks.cancel_deliveries(bigint [], integer [], text) is 'End runs; returns how many are being ended';
