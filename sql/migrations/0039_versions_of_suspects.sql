-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

alter table jobhooks.suspect add column version bigint;
comment on column jobhooks.suspect.version is 'The version of the receiver that ran: jobhooks.receiver_version';

-- It returns a further column.
drop function if exists jobhooks.load_suspects(bigint, text []);
