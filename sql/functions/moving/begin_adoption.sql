-- jobhooks.begin_adoption(): check that there is something to adopt, and lock the log.
--
-- It waits for transactions that have written to the log, and no further one writes until this transaction ends: so the
-- caller knows the greatest id of the changes that are there. Another adoption, and a daemon that is about to lead, wait for the
-- row of the cursor. It changes no row of jobhooks: when a row was stored tells transaction_ids_survived something.
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
    perform from jobhooks.cursor for update;
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
    perform jobhooks.advance_sequence();
end
$$;

comment on function jobhooks.begin_adoption() is 'Check that there is something to adopt, and lock the log';
