-- jobhooks.end_adoption(): note that the cursor is that of this database. The next daemon to lead records its place.
create or replace function jobhooks.end_adoption()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.cursor
    set system_identifier = control.system_identifier,
        database_oid = (select oid from pg_database where datname = current_database()),
        leader = cursor.leader + (cursor.leader > 0)::integer, -- a former leader settles no more
        place = null,
        refused_place = null,
        refused_at = null
    from pg_control_system() as control;
    perform jobhooks.note_database();
end
$$;

comment on function jobhooks.end_adoption() is 'Note that the cursor is that of this database';
