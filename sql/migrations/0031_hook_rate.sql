-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own.
set local lock_timeout = '5s';

-- How many deliveries of a hook begin in a span of time. The trigger check_hook refuses a text that is no rate, with a remedy.
alter table jobhooks.job_hook
add column rate text not null default '' check (rate ~ '^([1-9][0-9]{0,5}/(s|min|h|day))?$'),
add column rate_per text [] not null default '{}';
comment on column jobhooks.job_hook.rate is 'At most so many deliveries begin in that time, such as 30/min; empty: any number';
comment on column jobhooks.job_hook.rate_per is
'With rate: each value of these columns has the rate for itself, or each object, if it is object; empty: all share it';

-- What hooks have used of their rates, so that a daemon that takes over keeps to them.
create table jobhooks.rate_bucket (
    hook_id integer not null references jobhooks.job_hook (id) on delete cascade,
    key bigint not null,
    full_at timestamptz not null,
    primary key (hook_id, key)
);
comment on table jobhooks.rate_bucket is 'What hooks with a rate have used of it';
comment on column jobhooks.rate_bucket.key is 'The hash of the values of rate_per; 0 if all deliveries share the rate';
comment on column jobhooks.rate_bucket.full_at is 'When none of it is used any more';

-- The check of a hook's targets depends on another column now; the functions create it again.
drop trigger if exists check_hook_targets on jobhooks.job_hook;

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"rate": "", "rate_per": []}'
where kind = 'hook' and after is not null;
