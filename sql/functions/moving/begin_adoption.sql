-- jobhooks.begin_adoption(): lock the log, and note that the cursor is that of this database.
--
-- It waits for transactions that have written to the log, and no further one writes until this transaction ends: so the
-- caller knows the greatest id of the changes that are there. The next daemon to lead records its place.
create or replace function jobhooks.begin_adoption()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'cannot adopt the database in a transaction whose snapshot is older than this call'
            using errcode = 'JH030', hint = 'begin isolation level read committed';
    end if;
    if jobhooks.leader_session() is not null then
        raise exception 'cannot adopt the database: a daemon leads here, with the session %', jobhooks.leader_session()
            using errcode = 'JH030', hint = 'stop that daemon first, if this database was moved or copied';
    end if;
    if (
        select
            cursor.refused_place is null
            and (cursor.system_identifier, cursor.database_oid) = (control.system_identifier, own.oid)
        from jobhooks.cursor, pg_control_system() as control, pg_database as own
        where own.datname = current_database()
    ) then
        raise exception 'there is nothing to adopt: this database was neither moved nor copied' using errcode = 'JH030';
    end if;

    lock table jobhooks.object_change in share row exclusive mode;
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

comment on function jobhooks.begin_adoption() is 'Lock the log, and note that the cursor is that of this database';
