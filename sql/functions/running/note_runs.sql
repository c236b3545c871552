-- jobhooks.note_runs(leader, ended, begun, lines): note runs that last longer than about a second, and their new log lines.
--
-- ended: [{change_id, hook_id, attempt}]; begun: [{change_id, hook_id, attempt, job_id, merged_into, started_at, host, pid,
-- worker_pid, version}], times in seconds since 1970; lines: [{change_id, hook_id, line, level, time, object, message, grouping, source}]. A
-- run is noted once its delivery is in the backlog. Returns the runs of this daemon that are noted: each with the number of
-- deliveries that are merged in it, itself included, and with who has cancelled it. A run that is missing was discarded. It refuses
-- a daemon that no longer leads.
create or replace function jobhooks.note_runs(leader bigint, ended json, begun json, lines json)
returns table (change_id bigint, hook_id integer, attempt integer, deliveries bigint, cancelled text)
language plpgsql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan -- the tables grow and shrink faster than the planner's statistics
set enable_seqscan = off
set jit = off -- that setting can raise the estimated costs above jit_above_cost
as $$
#variable_conflict use_column
begin
    perform from jobhooks.cursor where cursor.leader = note_runs.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    if ended is not null then
        delete from jobhooks.running_delivery as running
        using json_to_recordset(ended) as run (change_id bigint, hook_id integer, attempt integer)
        where running.hook_id = run.hook_id and running.change_id = run.change_id and running.attempt = run.attempt;
        delete from jobhooks.running_delivery as running
        using json_to_recordset(ended) as run (change_id bigint, hook_id integer, attempt integer)
        where running.hook_id = run.hook_id and running.merged_into = run.change_id;
    end if;
    if begun is not null then
        insert into jobhooks.running_delivery as running (
            change_id, hook_id, attempt, job_id, merged_into, started_at, leader, host, pid, worker_pid, version
        )
        select
            run.change_id, run.hook_id, run.attempt, run.job_id, run.merged_into, to_timestamp(run.started_at),
            note_runs.leader, run.host, run.pid, run.worker_pid, run.version
        from json_to_recordset(begun) as run (
            change_id bigint, hook_id integer, attempt integer, job_id integer, merged_into bigint,
            started_at double precision, host text, pid integer, worker_pid integer, version bigint
        )
        join jobhooks.delivery as delivery
            on delivery.change_id = run.change_id and delivery.hook_id = run.hook_id and delivery.attempts = run.attempt - 1
        on conflict do nothing;
    end if;
    if lines is not null then
        insert into jobhooks.running_log_entry (change_id, hook_id, line, level, time, object, message, grouping, source)
        select
            entry.change_id, entry.hook_id, entry.line, entry.level, entry.time, entry.object, entry.message, entry.grouping,
            entry.source
        from json_to_recordset(lines) as entry (
            change_id bigint, hook_id integer, line integer, level text, time timestamptz, object text, message text,
            grouping text, source text
        )
        join jobhooks.running_delivery as running
            on running.change_id = entry.change_id and running.hook_id = entry.hook_id
        on conflict do nothing;
    end if;
    return query
    select
        running.change_id, running.hook_id, running.attempt,
        1 + (
            select count(*)
            from jobhooks.running_delivery as merged
            where merged.hook_id = running.hook_id and merged.merged_into = running.change_id
        ),
        running.cancelled
    from jobhooks.running_delivery as running
    where running.leader = note_runs.leader and running.merged_into is null;
end
$$;

comment on function jobhooks.note_runs(bigint, json, json, json) is
'Note runs that last longer than about a second, and their new log lines';
