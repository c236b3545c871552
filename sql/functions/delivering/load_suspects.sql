-- jobhooks.load_suspects(leader, after_crash): the runs that may have ended a daemon, the last one that began first.
--
-- after_crash: the daemon that led before has died. Runs that were in flight then have one more crash. The one that was alone is
-- guilty if it was in flight at an earlier crash too: a daemon can also die by itself, or be killed. Runs that have a result by now
-- ended before the daemon did. Dead deliveries stay in the table, for jobhooks.problems, and are not returned.
create or replace function jobhooks.load_suspects(leader bigint, after_crash boolean)
returns table (change_id bigint, hook_id integer, attempt integer, crashes integer, guilty boolean, reason text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from jobhooks.cursor where cursor.leader = load_suspects.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    delete from jobhooks.suspect as ended
    where ended.state = 'running'
        and (
            (not after_crash and ended.crashes = 0)
            or exists (
                select from jobhooks.job_result as result
                where result.change_id = ended.change_id and result.hook_id = ended.hook_id and result.attempt = ended.attempt
            )
        );
    update jobhooks.suspect as suspect
    set state = case when after_crash and suspect.alone and suspect.crashes > 0 then 'guilty' else 'waiting' end,
        crashes = suspect.crashes + after_crash::integer,
        alone = false
    where suspect.state = 'running';
    delete from jobhooks.suspect as settled
    where not exists (select from jobhooks.object_change as change where change.id = settled.change_id)
        or (
            exists (
                select from jobhooks.job_result as result
                where result.change_id = settled.change_id and result.hook_id = settled.hook_id
            )
            and not exists (
                select from jobhooks.delivery as delivery
                where delivery.change_id = settled.change_id and delivery.hook_id = settled.hook_id
            )
        );
    return query
    select suspect.change_id, suspect.hook_id, suspect.attempt, suspect.crashes, suspect.state = 'guilty', suspect.reason
    from jobhooks.suspect as suspect
    where not exists (
        select from jobhooks.delivery as delivery
        where delivery.change_id = suspect.change_id and delivery.hook_id = suspect.hook_id and delivery.status = 'dead'
    )
    order by suspect.began_at desc, suspect.change_id, suspect.hook_id;
end
$$;

comment on function jobhooks.load_suspects(bigint, boolean) is
'The runs that may have ended a daemon, the last one that began first';
