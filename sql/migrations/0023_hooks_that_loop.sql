-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

-- Hooks that the daemon has paused because they triggered themselves. Resuming the hook deletes the row.
create table jobhooks.hook_loop (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    reason text not null,
    time timestamptz not null default clock_timestamp()
);
comment on table jobhooks.hook_loop is 'Hooks that the daemon has paused because they triggered themselves';
comment on column jobhooks.hook_loop.reason is 'What the daemon saw';
comment on column jobhooks.hook_loop.time is 'When it paused the hook';
