-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- Merging until an object is quiet. The trigger check_hook refuses these settings where they make no sense, with a remedy.
alter table jobhooks.job_hook
add column debounce_s double precision check (debounce_s > 0 and debounce_s <= 86400),
add column longest_wait_s double precision check (longest_wait_s > 0 and longest_wait_s <= 86400);
comment on column jobhooks.job_hook.debounce_s is
'Changes of an object are delivered as one, when this number of seconds has passed without another; null: they are not';
comment on column jobhooks.job_hook.longest_wait_s is
'With debounce_s: they are delivered this number of seconds after the first one at the latest; null: ten times debounce_s';

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"debounce_s": null, "longest_wait_s": null}'
where kind = 'hook' and after is not null;
