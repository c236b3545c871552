-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

-- Where daemons are configured to connect. A physical copy has everything of the original, its identity included: only this differs.
alter table jobhooks.cursor
add column place json,
add column refused_place json,
add column refused_at timestamptz;
comment on column jobhooks.cursor.place is
'Where the daemon that leads was configured to connect: environment, hosts and database; null: the next one to lead records it';
comment on column jobhooks.cursor.refused_place is 'Where a daemon was configured to connect that delivered nothing, because the place is another one';
comment on column jobhooks.cursor.refused_at is 'When that was';
