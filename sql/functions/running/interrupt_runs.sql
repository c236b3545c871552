-- jobhooks.interrupt_runs(leader): take over the runs that earlier daemons did not end; returns how many there were.
--
-- A daemon calls this when it begins to lead. An attempt without a result begins again: it keeps the lines that were logged so far,
-- with a line about the interruption. A run that was cancelled has failed: see settle_cancelled_runs. It refuses a daemon that no
-- longer leads. A former leader cannot note a run after this.
create or replace function jobhooks.interrupt_runs(leader bigint)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    most_lines constant integer := 10000; -- of all interrupted runs of one attempt
    run jobhooks.running_delivery;
    last_line integer;
    kept bigint;
    interrupted bigint := 0;
begin
    perform from jobhooks.cursor where cursor.leader = interrupt_runs.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    perform jobhooks.settle_cancelled_runs(interrupt_runs.leader);
    for run in
        select * from jobhooks.running_delivery as running
        where running.leader <> interrupt_runs.leader
        order by running.hook_id, running.change_id
    loop
        if run.merged_into is null and not exists (
            select from jobhooks.job_result as result
            where result.change_id = run.change_id and result.hook_id = run.hook_id and result.attempt = run.attempt
        ) then
            select coalesce(max(entry.line), -2000000000), count(*) into last_line, kept
            from jobhooks.job_log_entry as entry
            where entry.change_id = run.change_id and entry.hook_id = run.hook_id and entry.attempt = run.attempt
                and entry.line < 0;
            insert into jobhooks.job_log_entry (
                change_id, hook_id, attempt, line, level, time, object, message, grouping, source
            )
            select
                run.change_id, run.hook_id, run.attempt, last_line + row_number() over (order by entry.line),
                entry.level, entry.time, entry.object, entry.message, entry.grouping, entry.source
            from jobhooks.running_log_entry as entry
            where entry.change_id = run.change_id and entry.hook_id = run.hook_id
            order by entry.line
            limit greatest(0, most_lines - kept);
            if kept < most_lines then
                insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, message)
                select
                    run.change_id, run.hook_id, run.attempt, coalesce(max(entry.line), last_line) + 1, 'warning', clock_timestamp(),
                    format(
                        'the daemon did not end this run, which began at %s in process %s on %s: the attempt begins again',
                        run.started_at::timestamptz(0), coalesce(run.worker_pid, run.pid), run.host
                    )
                from jobhooks.job_log_entry as entry
                where entry.change_id = run.change_id and entry.hook_id = run.hook_id and entry.attempt = run.attempt
                    and entry.line < 0;
            end if;
        end if;
        delete from jobhooks.running_delivery as running
        where running.change_id = run.change_id and running.hook_id = run.hook_id;
        interrupted := interrupted + 1;
    end loop;
    return interrupted;
end
$$;

comment on function jobhooks.interrupt_runs(bigint) is
'Take over the runs that earlier daemons did not end; returns how many there were';
