-- jobhooks.mark_runs(leader, ended, begun, alone): mark runs of async def receivers before they begin, and unmark those that ended.
--
-- ended: [{change_id, hook_id, attempt}]; begun: with version, as in record_result. alone: no other run is in flight with the one that begins; otherwise no run of
-- this process is alone any more. Used only after a daemon may have died: see load_suspects. It refuses a daemon that no longer
-- leads.
create or replace function jobhooks.mark_runs(leader bigint, ended json, begun json, alone boolean)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    own text;
begin
    select cursor.leader_process into own from jobhooks.cursor where cursor.leader = mark_runs.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    delete from jobhooks.suspect as suspect
    using json_to_recordset(ended) as run (change_id bigint, hook_id integer, attempt integer)
    where suspect.change_id = run.change_id and suspect.hook_id = run.hook_id and suspect.attempt = run.attempt;
    if not mark_runs.alone then
        update jobhooks.suspect as suspect set alone = false where suspect.alone and suspect.process = own;
    end if;
    insert into jobhooks.suspect as suspect (change_id, hook_id, attempt, state, alone, process, version)
    select run.change_id, run.hook_id, run.attempt, 'running', mark_runs.alone, own, run.version
    from json_to_recordset(begun) as run (change_id bigint, hook_id integer, attempt integer, version bigint)
    join jobhooks.job_hook as hook on hook.id = run.hook_id
    on conflict (change_id, hook_id) do update
    set attempt = excluded.attempt, state = 'running', alone = excluded.alone, reason = null, process = own,
        version = excluded.version, began_at = clock_timestamp();
end
$$;

comment on function jobhooks.mark_runs(bigint, json, json, boolean) is
'Mark runs of async def receivers before they begin, and unmark those that ended; after a daemon has died';
