-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- Runs that last longer than about a second, while they last. The delivery also has a row in the backlog. No foreign key on hooks:
-- the daemon removes the row of a run when it ends.
create table jobhooks.running_delivery (
    change_id bigint not null,
    hook_id integer not null,
    attempt integer not null check (attempt > 0),
    job_id integer not null,
    merged_into bigint,
    started_at timestamptz not null,
    leader bigint not null,
    host text not null,
    pid integer not null,
    worker_pid integer,
    cancelled text,
    primary key (change_id, hook_id)
);
comment on table jobhooks.running_delivery is 'Runs that last longer than about a second, while they last';
comment on column jobhooks.running_delivery.change_id is 'With hook and attempt: the attempt that runs';
comment on column jobhooks.running_delivery.hook_id is 'See change_id';
comment on column jobhooks.running_delivery.attempt is 'See change_id';
comment on column jobhooks.running_delivery.job_id is 'The job that runs';
comment on column jobhooks.running_delivery.merged_into is
'The change that it is delivered with, as one; null if it is delivered by itself';
comment on column jobhooks.running_delivery.started_at is 'When the run began';
comment on column jobhooks.running_delivery.leader is 'The number of the daemon that runs it; another number leads if that daemon is gone';
comment on column jobhooks.running_delivery.host is 'The host of the daemon';
comment on column jobhooks.running_delivery.pid is 'The process id of the daemon';
comment on column jobhooks.running_delivery.worker_pid is 'The process id of the worker; null for an async def receiver';
comment on column jobhooks.running_delivery.cancelled is 'Who has cancelled the run, when and why; null if nobody has';

create table jobhooks.running_log_entry (
    change_id bigint not null,
    hook_id integer not null,
    line integer not null check (line > 0),
    level text not null check (level in ('debug', 'info', 'success', 'warning', 'failure', 'error', 'critical')),
    time timestamptz not null,
    object text,
    message text not null,
    grouping text,
    source text,
    primary key (change_id, hook_id, line),
    foreign key (change_id, hook_id) references jobhooks.running_delivery (change_id, hook_id) on delete cascade
);
comment on table jobhooks.running_log_entry is
'The lines that these runs have logged so far; the result of the attempt has its own copy in jobhooks.job_log_entry';
comment on column jobhooks.running_log_entry.change_id is 'With hook: the run, in jobhooks.running_delivery';
comment on column jobhooks.running_log_entry.hook_id is 'See change_id';
comment on column jobhooks.running_log_entry.line is 'Counts the lines of the run from 1';
comment on column jobhooks.running_log_entry.level is 'debug, info, success, warning, failure, error or critical';
comment on column jobhooks.running_log_entry.time is 'When it was logged';
comment on column jobhooks.running_log_entry.object is 'What the line is about, where the receiver named it';
comment on column jobhooks.running_log_entry.message is 'The text that the receiver logged';
comment on column jobhooks.running_log_entry.grouping is 'The label that the receiver gave the line, if any';
comment on column jobhooks.running_log_entry.source is
'The logger or the stream that the line came from; null: the log of the run';

-- The lines of a run that its daemon did not end come before those of the run that repeats the attempt.
alter table jobhooks.job_log_entry drop constraint job_log_entry_line_check;
