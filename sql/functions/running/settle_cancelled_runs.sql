-- jobhooks.settle_cancelled_runs(except_leader): record cancelled runs as failed whose daemon is gone.
--
-- except_leader: the daemon that leads, which ends its own runs; null if no daemon leads. The caller has locked the cursor's row. An
-- attempt that has a result keeps it. If its daemon lives after all, the run cannot commit: its attempt has a result.
create or replace function jobhooks.settle_cancelled_runs(except_leader bigint)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    run jobhooks.running_delivery;
begin
    for run in
        select * from jobhooks.running_delivery as running
        where running.cancelled is not null and running.leader is distinct from except_leader
        order by running.hook_id, running.change_id
    loop
        insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, finished_at, error, version)
        select
            run.change_id, run.hook_id, run.job_id, run.attempt, 'failure', run.started_at, clock_timestamp(),
            'Cancelled: ' || run.cancelled, run.version
        from jobhooks.delivery as delivery
        where delivery.change_id = run.change_id and delivery.hook_id = run.hook_id and delivery.attempts = run.attempt - 1
        on conflict do nothing;
        if found then
            perform jobhooks.keep_lines(run.change_id, run.hook_id, run.attempt);
            update jobhooks.delivery as delivery
            set attempts = run.attempt, failures = delivery.failures + 1, status = 'dead', due_at = null
            where delivery.change_id = run.change_id and delivery.hook_id = run.hook_id;
        end if;
        delete from jobhooks.running_delivery as running
        where running.hook_id = run.hook_id and (running.change_id = run.change_id or running.merged_into = run.change_id);
    end loop;
end
$$;

comment on function jobhooks.settle_cancelled_runs(bigint) is 'Record cancelled runs as failed whose daemon is gone';
