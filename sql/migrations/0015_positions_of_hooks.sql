-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- Where a hook reads that reads alone: it could not keep up with the others, or stands still. The other hooks read where
-- jobhooks.cursor says. The columns are those of jobhooks.cursor. Without a foreign key on the log: a position is two snapshots.
create table jobhooks.hook_position (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    seen pg_snapshot not null,
    seen_floor bigint not null check (seen_floor >= 0),
    horizon pg_snapshot not null,
    horizon_floor bigint not null check (horizon_floor >= seen_floor),
    last_id bigint not null check (last_id >= 0),
    saved_at timestamptz not null default clock_timestamp()
);
comment on table jobhooks.hook_position is
'The positions of hooks that read the log alone; the others read where jobhooks.cursor says';
comment on column jobhooks.hook_position.seen is 'Every change that this snapshot sees is settled for the hook, or in the backlog';
comment on column jobhooks.hook_position.seen_floor is 'The low-water id of seen';
comment on column jobhooks.hook_position.horizon is 'The end of the window that is being read';
comment on column jobhooks.hook_position.horizon_floor is 'The low-water id of horizon';
comment on column jobhooks.hook_position.last_id is 'Changes of the window up to this id are settled, or in the backlog';
comment on column jobhooks.hook_position.saved_at is 'When the daemon saved it';

-- A row of the backlog waits for a time, or is dead. What blocks it is not stored any more: the daemon knows from the rows. So rows
-- change less, and one index beside the primary key serves.
update jobhooks.delivery set status = 'waiting', due_at = clock_timestamp() where status = 'blocked';
drop index jobhooks.delivery_due, jobhooks.delivery_lane, jobhooks.delivery_other_lane, jobhooks.delivery_of_table,
jobhooks.delivery_table_lane;
create index delivery_of_hook on jobhooks.delivery (hook_id, change_id);
alter table jobhooks.delivery
drop constraint delivery_status_check,
add constraint delivery_status_check check (status in ('waiting', 'dead')),
-- Few rows that come and go: vacuum removes them often, and updates find room on their page.
set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
comment on column jobhooks.delivery.status is
'waiting: attempted when it is due and no older delivery with one of its keys is in the way; dead: kept until someone decides';

-- It returns a number now, which "create or replace" cannot change.
drop function if exists jobhooks.record_failures(json);
