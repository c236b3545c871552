-- jobhooks.record_place(leader, configured): record where the daemon that leads was configured to connect.
create or replace function jobhooks.record_place(leader bigint, configured json)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    update jobhooks.cursor
    set place = configured, refused_place = null, refused_at = null
    where cursor.leader = record_place.leader
        and (cursor.place::text is distinct from configured::text or cursor.refused_place is not null)
$$;

comment on function jobhooks.record_place(bigint, json) is 'Record where the daemon that leads was configured to connect';
