-- Running a receiver for a change and recording what it did.

-- name: begin_run
-- Marks the transaction and tells when it began; rows are written as json as the capture writes them.
-- Text, like all that we pass and get in a receiver's session: it may have taught its driver other types.
select
    clock_timestamp()::text, set_config('jobhooks.delivery', $1, true), set_config('datestyle', 'ISO, YMD', true),
    set_config('intervalstyle', 'postgres', true), set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true)

-- name: forget_session
-- After a run whose receiver did not take the connection: what the triggers of the tables that it wrote left in the
-- session must not reach the next one.
reset session authorization;
reset all;
close all;
unlisten *;
discard temp;
select pg_advisory_unlock_all()

-- name: record_result
select jobhooks.record_result($1, $2, $3, $4, $5::text::timestamptz, $6, $7, $8::text::json, $9)

-- name: park_dead
select jobhooks.park_dead($1, $2, $3)
