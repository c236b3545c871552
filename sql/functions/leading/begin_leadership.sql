-- jobhooks.begin_leadership(leader, process): note which process leads; returns whether one before it may have died.
--
-- end_leadership notes an end. Any other process that led before is in doubt: it may have lost only its session. A process that
-- leads again lives, and the runs that it marked have ended.
create or replace function jobhooks.begin_leadership(leader bigint, process text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    doubted text [];
begin
    select
        array_remove(
            case when leader_ended or leader_process is null or leader_process = any(doubted_processes) then doubted_processes
            else doubted_processes || leader_process end,
            process
        )
    into doubted
    from jobhooks.cursor
    where cursor.leader = begin_leadership.leader
    for update;
    if not found then
        return false; -- load_suspects refuses it
    end if;
    doubted := doubted[greatest(1, cardinality(doubted) - 99):]; -- however many daemons in a row are killed at their start
    update jobhooks.cursor
    set leader_process = begin_leadership.process, leader_ended = false, doubted_processes = doubted
    where cursor.leader = begin_leadership.leader;
    update jobhooks.suspect as suspect set process = null where suspect.process = begin_leadership.process;
    return cardinality(doubted) > 0;
end
$$;

comment on function jobhooks.begin_leadership(bigint, text) is
'Note which process leads; returns whether one before it may have died';
