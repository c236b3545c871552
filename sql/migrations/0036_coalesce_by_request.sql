-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- Merging the changes of a request. The trigger check_hook refuses other settings beside it where they make no sense.
alter table jobhooks.job_hook
drop constraint job_hook_coalesce_s_check,
add constraint job_hook_coalesce_s_check check (coalesce_s = -1 or (coalesce_s >= 0 and coalesce_s <= 86400));
comment on column jobhooks.job_hook.coalesce_s is
'Changes of an object are delivered as one: those of one transaction (0), of one request (-1), or of so many seconds; null: each by itself';
comment on column jobhooks.job_hook.debounce_s is
'Changes of an object are delivered as one, when this number of seconds has passed without another; null: they are not, or 1 if coalesce_s is -1';
