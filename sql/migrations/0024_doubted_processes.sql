-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- The end of a session does not show that its process died: see doubted_processes().
alter table jobhooks.cursor
add column doubted_processes text [] not null default '{}';
comment on column jobhooks.cursor.doubted_processes is
'The processes that led before, did not note their end, and have neither been seen since nor been judged dead';

alter table jobhooks.suspect
add column process text;
comment on column jobhooks.suspect.process is 'The process that ran it last';
