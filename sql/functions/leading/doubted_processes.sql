-- jobhooks.doubted_processes(leader): the processes that led before and may have died: they have not shown themselves since.
--
-- A process that still runs connects again, as a standby, and sends a statement every second (see show_process). One statement
-- since this leader began shows that the process outlived its leadership, and it is not in doubt any more. The session must be of
-- the leader's role, because every role can hold any advisory lock.
create or replace function jobhooks.doubted_processes(leader bigint)
returns text []
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    since timestamptz;
    before text [];
    still text [];
begin
    select cursor.leader_since, cursor.doubted_processes into since, before
    from jobhooks.cursor
    where cursor.leader = doubted_processes.leader
    for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    select coalesce(array_agg(doubted.process order by doubted.place), '{}') into still
    from unnest(before) with ordinality as doubted (process, place)
    where not exists (
        select from pg_locks as lock
        join pg_stat_activity as session on session.pid = lock.pid
        where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
            and lock.database = (select oid from pg_database where datname = current_database())
            and (lock.classid::bigint << 32) | lock.objid::bigint = hashtextextended(doubted.process, 0)
            and session.usename = current_user
            and greatest(session.state_change, session.query_start) > since
    );
    if still <> before then
        update jobhooks.cursor set doubted_processes = still where cursor.leader = doubted_processes.leader;
    end if;
    return still;
end
$$;

comment on function jobhooks.doubted_processes(bigint) is
'The processes that led before and may have died: they have not shown themselves since';
