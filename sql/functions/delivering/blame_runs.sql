-- jobhooks.blame_runs(runs, reason): note that these runs made the daemon end itself: [{change_id, hook_id, attempt, version}].
--
-- One run is guilty: its attempt counts as failed, for this reason. Of several, each runs alone next. The daemon that calls this
-- may not lead any more: a run that has a result by now is left out.
create or replace function jobhooks.blame_runs(runs json, reason text)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.suspect as suspect (change_id, hook_id, attempt, state, alone, crashes, reason, version)
    select
        run.change_id, run.hook_id, run.attempt, case json_array_length(blame_runs.runs) when 1 then 'guilty' else 'waiting' end,
        false, 1, blame_runs.reason, run.version
    from json_to_recordset(blame_runs.runs) as run (change_id bigint, hook_id integer, attempt integer, version bigint)
    join jobhooks.job_hook as hook on hook.id = run.hook_id
    where not exists (
        select from jobhooks.job_result as result
        where result.change_id = run.change_id and result.hook_id = run.hook_id and result.attempt = run.attempt
    )
    on conflict (change_id, hook_id) do update
    set attempt = excluded.attempt, state = excluded.state, alone = false, crashes = suspect.crashes + 1,
        reason = excluded.reason, version = excluded.version
$$;

comment on function jobhooks.blame_runs(json, text) is 'Note that these runs made the daemon end itself';
