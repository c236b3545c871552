-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- Who may trigger a hook. The role is the one that the session logged in as, which an application cannot change.
alter table jobhooks.job_hook add column roles text [] not null default '{}';
comment on column jobhooks.job_hook.roles is 'Only changes of sessions that logged in as one of these roles trigger it; empty: all';

-- The check of a hook's targets depends on more columns now; the functions create it again.
drop trigger if exists check_hook_targets on jobhooks.job_hook;

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"roles": []}'
where kind = 'hook' and after is not null;
