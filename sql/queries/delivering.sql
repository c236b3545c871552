-- Running a receiver for a change and recording what it did.

-- name: begin_run
-- Marks the transaction and tells when it began; rows are written as json as the capture writes them.
select
    clock_timestamp(), set_config('jobhooks.delivery', $1, true), set_config('datestyle', 'ISO, YMD', true),
    set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true)

-- name: forget_session
-- After a run: what the receiver set, locked, listened to or made in the session must not reach the next one.
reset session authorization;
reset all;
close all;
unlisten *;
discard temp;
select pg_advisory_unlock_all()

-- name: record_result
select jobhooks.record_result($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: park_dead
select jobhooks.park_dead($1, $2, $3)
