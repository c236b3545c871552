-- jobhooks.applies_replication(): whether this session is a worker of logical replication.
--
-- Such a worker sets session_replication_role by itself, which pg_settings shows. A person or a restore sets it in a session.
-- Immutable, since a session stays what it is, so the planner asks once: pg_settings takes a millisecond.
create or replace function jobhooks.applies_replication()
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (select source = 'override' from pg_settings where name = 'session_replication_role');
end
$$;

comment on function jobhooks.applies_replication() is 'Whether this session is a worker of logical replication';
