-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses this one.
set local lock_timeout = '5s';

-- Its check waits for a session that has changed or deleted a hook and not committed yet, and with it all deliveries wait. A
-- trigger deletes the position of a hook that is deleted.
alter table jobhooks.hook_position drop constraint hook_position_hook_id_fkey;
