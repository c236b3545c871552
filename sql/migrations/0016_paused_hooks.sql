-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- A paused hook runs nothing, and keeps its position in the log and its backlog. A disabled one gives its position up.
alter table jobhooks.job_hook add column paused boolean not null default false;
comment on column jobhooks.job_hook.paused is 'Runs nothing, and continues at its position when it is resumed: jobhooks hook pause';

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"paused": false}'
where kind = 'hook' and after is not null;
