-- jobhooks.adopt(): make this database's cursor its own, from now on.
--
-- For a copy of a database: its cursor refers to another server's transactions, and its log has changes that the original's
-- daemon delivers. Changes in the log now count as seen: by id, because their transaction ids mean nothing here and may occur
-- again.
create or replace function jobhooks.adopt()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if (
        select (cursor.system_identifier, cursor.database_oid) = (control.system_identifier, own.oid)
        from jobhooks.cursor, pg_control_system() as control, pg_database as own
        where own.datname = current_database()
    ) then
        raise exception 'there is nothing to adopt: this database is no copy' using errcode = 'JH030';
    end if;

    -- Waits for those that have written and not ended: their ids are among those that count as seen.
    lock table jobhooks.object_change in share mode;
    update jobhooks.cursor
    set first_id = coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0),
        seen = pg_current_snapshot(),
        seen_floor = 0,
        horizon = pg_current_snapshot(),
        horizon_floor = 0,
        last_id = 0,
        system_identifier = control.system_identifier,
        database_oid = (select oid from pg_database where datname = current_database()),
        saved_at = clock_timestamp()
    from pg_control_system() as control;
    update jobhooks.job_hook set enabled_since = pg_current_snapshot();
    delete from jobhooks.hook_position;
    delete from jobhooks.delivery;
    delete from jobhooks.suspect;
end
$$;

comment on function jobhooks.adopt() is 'Make this database''s cursor its own, from now on: for a copy of a database';
