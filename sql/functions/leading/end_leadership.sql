-- jobhooks.end_leadership(leader): note that this daemon stops by itself, so that the next one searches for no culprit.
create or replace function jobhooks.end_leadership(leader bigint)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update jobhooks.cursor set leader_ended = true where cursor.leader = end_leadership.leader
$$;

comment on function jobhooks.end_leadership(bigint) is 'Note that this daemon stops by itself';
