-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

-- Errors that time does not fix make a delivery dead after one repeat.
alter table jobhooks.delivery
add column lasting boolean not null default false;
comment on column jobhooks.delivery.lasting is
'Whether the last attempt failed with an error that time does not fix: another one makes it dead';
