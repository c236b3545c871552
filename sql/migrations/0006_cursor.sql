-- How far the log has been read. Snapshots, because ids do not commit in order.
create table jobhooks.cursor (
    singleton boolean primary key default true check (singleton),
    seen pg_snapshot not null,
    seen_floor bigint not null check (seen_floor >= 0),
    horizon pg_snapshot not null,
    horizon_floor bigint not null check (horizon_floor >= seen_floor),
    last_id bigint not null default 0 check (last_id >= 0),
    first_id bigint not null default 0 check (first_id >= 0),
    system_identifier bigint not null,
    database_oid oid not null,
    saved_at timestamptz not null default clock_timestamp()
);

comment on table jobhooks.cursor is 'One row: how far the log has been read';
comment on column jobhooks.cursor.seen is 'What is visible in it has been settled or parked';
comment on column jobhooks.cursor.seen_floor is
'Every change by a transaction at or above the xmax of the seen snapshot has a greater id';
comment on column jobhooks.cursor.horizon is 'The end of the window being worked on: visible in it and not in seen';
comment on column jobhooks.cursor.last_id is 'The position inside the window';
comment on column jobhooks.cursor.first_id is
'Changes up to it belong to the database that this one was copied from, and are never read here';
comment on column jobhooks.cursor.system_identifier is
'With database_oid: whose transactions the snapshots speak of, so that a copy of the database is noticed';

insert into jobhooks.cursor (seen, seen_floor, horizon, horizon_floor, system_identifier, database_oid)
select
    pg_current_snapshot(),
    0,
    pg_current_snapshot(),
    0,
    control.system_identifier,
    (select oid from pg_database where datname = current_database())
from pg_control_system() as control;
