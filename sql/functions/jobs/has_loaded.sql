-- jobhooks.has_loaded(): whether the daemon that leads now has recorded its receivers. The state of a daemon that died counts no
-- more: the next one may find other receivers.
create or replace function jobhooks.has_loaded()
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from jobhooks.receiver_load as load
        join jobhooks.cursor as cursor
            on cursor.leader = load.leader and cursor.leader_process is not distinct from load.process
    ) and jobhooks.leader_session() is not null
$$;

comment on function jobhooks.has_loaded() is 'Whether the daemon that leads now has recorded its receivers';
