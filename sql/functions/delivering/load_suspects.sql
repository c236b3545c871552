-- jobhooks.load_suspects(leader, died): the runs that may have ended a daemon, the last one that began first.
--
-- died: processes that led before and have died. Runs that were in flight then have one more crash. The one that was alone is
-- guilty if it was in flight at an earlier crash too: a daemon can also die by itself, or be killed. Runs of a process that is
-- still in doubt (see doubted_processes) keep the state "running". Those of any other process before this one have ended, as have
-- runs that have a result by now. Dead deliveries stay in the table, for jobhooks.problems, and are not returned.
create or replace function jobhooks.load_suspects(leader bigint, died text [])
returns table (
    change_id bigint, hook_id integer, attempt integer, crashes integer, state text, reason text, version bigint
)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    own text;
    doubted text [];
begin
    select
        cursor.leader_process,
        array(select process from unnest(cursor.doubted_processes) as process where process <> all(load_suspects.died))
    into own, doubted
    from jobhooks.cursor
    where cursor.leader = load_suspects.leader
    for update;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    if cardinality(died) > 0 then
        update jobhooks.cursor set doubted_processes = doubted where cursor.leader = load_suspects.leader;
    end if;
    delete from jobhooks.suspect as ended
    where ended.state = 'running' and ended.process is distinct from own
        and (
            (ended.crashes = 0 and (ended.process is null or ended.process <> all(doubted || died)))
            or exists (
                select from jobhooks.job_result as result
                where result.change_id = ended.change_id and result.hook_id = ended.hook_id and result.attempt = ended.attempt
            )
        );
    update jobhooks.suspect as suspect
    set state = case
            when suspect.process = any(died) and suspect.alone and suspect.crashes > 0 then 'guilty' else 'waiting'
        end,
        crashes = suspect.crashes + coalesce(suspect.process = any(died), false)::integer,
        alone = false
    where suspect.state = 'running' and suspect.process is distinct from own
        and (suspect.process is null or suspect.process <> all(doubted));
    delete from jobhooks.suspect as settled
    where (settled.state <> 'running' or settled.process is distinct from own)
        and (
            not exists (select from jobhooks.object_change as change where change.id = settled.change_id)
            or (
                exists (
                    select from jobhooks.job_result as result
                    where result.change_id = settled.change_id and result.hook_id = settled.hook_id
                )
                and not exists (
                    select from jobhooks.delivery as delivery
                    where delivery.change_id = settled.change_id and delivery.hook_id = settled.hook_id
                )
            )
        );
    return query
    select suspect.change_id, suspect.hook_id, suspect.attempt, suspect.crashes, suspect.state, suspect.reason,
        suspect.version
    from jobhooks.suspect as suspect
    where (suspect.state <> 'running' or suspect.process is distinct from own)
        and not exists (
            select from jobhooks.delivery as delivery
            where delivery.change_id = suspect.change_id and delivery.hook_id = suspect.hook_id
                and delivery.status = 'dead'
        )
    order by suspect.began_at desc, suspect.change_id, suspect.hook_id;
end
$$;

comment on function jobhooks.load_suspects(bigint, text []) is
'The runs that may have ended a daemon, the last one that began first';
