-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own.
set local lock_timeout = '5s';

-- Whether a hook also runs for receivers' writes. The trigger check_hook refuses other numbers, with a remedy.
alter table jobhooks.job_hook
add column chain_depth integer not null default 0 check (chain_depth between 0 and 10);
comment on column jobhooks.job_hook.chain_depth is
'It also runs for changes that receivers wrote, up to this number of runs away from the change of an application; 0: for none';

-- Changes that would have triggered a hook, had they not been too deep in a chain.
create table jobhooks.chain_end (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    changes bigint not null,
    change_id bigint not null,
    time timestamptz not null default clock_timestamp()
);
comment on table jobhooks.chain_end is 'Hooks that did not run for changes because these were deeper in a chain than their chain_depth';
comment on column jobhooks.chain_end.changes is 'About how many changes, since the chain_depth was set';
comment on column jobhooks.chain_end.change_id is 'The last of them';
comment on column jobhooks.chain_end.time is 'When the daemon last counted one';

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"chain_depth": 0}'
where kind = 'hook' and after is not null;
