-- jobhooks.begin_leadership(leader, process): note which process leads; returns whether the one before it died.
--
-- A process that leads again after it lost the database has not died. end_leadership notes the end.
create or replace function jobhooks.begin_leadership(leader bigint, process text)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    died boolean;
begin
    select not leader_ended and leader_process is distinct from process into died
    from jobhooks.cursor
    where cursor.leader = begin_leadership.leader
    for update;
    update jobhooks.cursor
    set leader_process = process, leader_ended = false
    where cursor.leader = begin_leadership.leader;
    return coalesce(died, false);
end
$$;

comment on function jobhooks.begin_leadership(bigint, text) is
'Note which process leads; returns whether the one before it died';
