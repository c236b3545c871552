-- jobhooks.other_place(configured): why a daemon that is configured to connect to this place must not deliver here; null: it may.
--
-- Notes that such a daemon was here, for jobhooks doctor. Not if the cursor is that of another database, which doctor sees without
-- it: until that is adopted, the row stays as a restore stored it (see transaction_ids_survived).
create or replace function jobhooks.other_place(configured json)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    recorded constant json := (select cursor.place from jobhooks.cursor);
begin
    if jobhooks.is_same_place(recorded, configured) then
        return null;
    end if;
    update jobhooks.cursor
    set refused_place = configured, refused_at = clock_timestamp()
    from pg_control_system() as control
    join pg_database as own on own.datname = current_database()
    where (cursor.system_identifier, cursor.database_oid) = (control.system_identifier, own.oid);
    return format(
        'this daemon is configured to connect to %s, and the log is that of %s', jobhooks.place_text(configured), jobhooks.place_text(recorded)
    );
end
$$;

comment on function jobhooks.other_place(json) is
'Why a daemon that is configured to connect to this place must not deliver here; null: it may';
