-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

-- Who leads stands in a row that only the roles of jobhooks can write, since every role can hold any advisory lock. The lock is
-- only a sign of life: see leader_session.
alter table jobhooks.cursor
add column leader_pid integer,
add column leader_lock bigint;
comment on column jobhooks.cursor.leader_pid is 'The session of the last daemon to lead; whether it still does, leader_session() tells';
comment on column jobhooks.cursor.leader_lock is 'The random advisory lock that this session holds until it ends';
