-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- How the last daemon to lead ended: a daemon that takes over from one that died searches for the run that ended it.
alter table jobhooks.cursor
add column leader_process text,
add column leader_ended boolean not null default true;
comment on column jobhooks.cursor.leader_process is 'Identifies the process that led last';
comment on column jobhooks.cursor.leader_ended is 'Whether it ended by itself; otherwise it leads, or has died';

-- Runs of async def receivers that were in flight when a daemon died, and those that run now, while a daemon searches for the one
-- that ended it. Empty if no daemon has died. No foreign key on the log: retention drops whole segments.
create table jobhooks.suspect (
    change_id bigint not null,
    hook_id integer not null references jobhooks.job_hook (id) on delete cascade,
    attempt integer not null check (attempt > 0),
    state text not null check (state in ('running', 'waiting', 'guilty')),
    alone boolean not null,
    crashes integer not null default 0 check (crashes >= 0),
    reason text,
    began_at timestamptz not null default clock_timestamp(),
    primary key (change_id, hook_id)
);
comment on table jobhooks.suspect is
'Runs of async def receivers that were in flight when a daemon died; empty if none has died';
comment on column jobhooks.suspect.state is
'running: in flight now, or when the daemon died; waiting: runs alone next; guilty: this attempt ended the daemon, and counts as failed';
comment on column jobhooks.suspect.alone is 'No other run of an async def receiver was in flight with it';
comment on column jobhooks.suspect.crashes is 'How many daemons have died while it was in flight';
comment on column jobhooks.suspect.reason is 'Why its attempt has failed, if the daemon could still say so';
comment on column jobhooks.suspect.began_at is 'When it was last begun';
