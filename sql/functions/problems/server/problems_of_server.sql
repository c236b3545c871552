-- jobhooks.problems_of_server(): a copied database, its encoding, transactions that hold others up, and limits of this role's
-- view.
create or replace function jobhooks.problems_of_server()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'error', format('database %s', current_database()),
        'it was moved, upgraded, restored or copied: its log is that of another server or database, so daemons deliver nothing',
        'jobhooks adopt --moved, if the original is gone; jobhooks adopt --copy, if it goes on'
    from jobhooks.cursor
    cross join pg_control_system() as control
    join pg_database as own on own.datname = current_database()
    where (cursor.system_identifier, cursor.database_oid) <> (control.system_identifier, own.oid)
    union all
    select
        case when jobhooks.leader_session() is null then 'error' else 'warning' end,
        format('database %s', current_database()),
        format('its log is that of %s; a daemon that was configured to connect to %s delivered nothing, at %s',
            jobhooks.place_text(cursor.place), jobhooks.place_text(cursor.refused_place), cursor.refused_at::timestamptz(0)),
        'jobhooks adopt --moved, if the original is gone; jobhooks adopt --copy, if it goes on'
    from jobhooks.cursor
    where cursor.refused_at > now() - interval '1 day' and cursor.place is not null
    union all
    select
        case when prepared < now() - interval '1 hour' then 'warning' else 'note' end,
        format('prepared transaction %s', gid),
        format('it was prepared by %s at %s: until it ends its changes are not delivered, and nothing newer is vacuumed',
            owner, prepared::timestamptz(0)),
        format('commit prepared %L, or rollback prepared %1$L', gid)
    from pg_prepared_xacts
    where database = current_database()
    union all
    select
        'warning', format('session %s (%s)', pid, coalesce(nullif(application_name, ''), 'unnamed')),
        format('the role %s holds the lock of a sleeping daemon with it: ', role_name) || case
            when is_exclusive then 'every commit sends a NOTIFY, and no daemon can sleep'
            else 'no daemon can sleep, so it reads the log at short intervals'
        end,
        format('select pg_terminate_backend(%s)', pid)
    from jobhooks.wake_lock_squatters()
    union all
    -- 1785684584 is 'jobh', 2 "wake me": a transaction that has written shares it.
    select
        'note', format('session %s (%s)', lock.pid, coalesce(nullif(session.application_name, ''), 'unnamed')),
        format(
            'its transaction has been open since %s: no daemon can sleep, and its changes wait',
            session.xact_start::timestamptz(0)
        ),
        format('if it should not: select pg_terminate_backend(%s)', lock.pid)
    from pg_locks as lock
    join pg_stat_activity as session on session.pid = lock.pid
    where lock.locktype = 'advisory' and lock.granted and lock.mode = 'ShareLock'
        and lock.database = (select oid from pg_database where datname = current_database())
        and (lock.classid, lock.objid, lock.objsubid) = (1785684584, 2, 2)
        and session.xact_start < now() - interval '1 hour'
    union all
    select
        'warning', 'server',
        format(
            'its queue of NOTIFYs is %s percent full, because a session that listens does not read. From 25 on writers'
            ' send no NOTIFY, and the daemon reads the log without them. A full queue makes the NOTIFYs of others fail',
            round(100 * pg_notification_queue_usage())
        ),
        'end that session: the server''s log names its process, once half of the queue is full'
    where pg_notification_queue_usage() >= 0.25
    union all
    select
        'warning', format('session %s (%s)', session.pid, coalesce(nullif(session.application_name, ''), 'unnamed')),
        'it takes nothing of what the server sends to it, so the queue of NOTIFYs cannot be cleared',
        format('if its program does not run any more: select pg_terminate_backend(%s)', session.pid)
    from pg_stat_activity as session
    where session.datname = current_database() and session.wait_event = 'ClientWrite' and session.state = 'idle'
        and session.state_change < clock_timestamp() - interval '10 seconds'
    union all
    select
        'warning', format('database %s', current_database()),
        'its encoding is SQL_ASCII, so its text can be invalid: receivers get an invalid byte as U+FFFD and its number, and'
        ' cannot read the live row',
        'restore a dump of it into a database with the encoding of its text'
    where getdatabaseencoding() = 'SQL_ASCII'
    union all
    select
        'note', format('role %s', current_user), 'it cannot see how long other sessions'' transactions have been open',
        format('grant pg_read_all_stats to %I', current_user)
    where not pg_has_role('pg_read_all_stats', 'usage')
$$;

comment on function jobhooks.problems_of_server() is
'A copied database, its encoding, transactions that hold others up, and limits of this role''s view';
