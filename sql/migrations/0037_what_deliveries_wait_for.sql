-- squawk-ignore-file
set local lock_timeout = '5s';

-- It has a further column: what a delivery waits for. It is also what jobhooks.pending_deliveries was, which the next installation
-- drops: see retired.sql.
drop function if exists jobhooks.delivery_states(integer [], bigint);
