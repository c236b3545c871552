-- Running a receiver for a change and recording what it did.

-- name: begin_run
-- Marks the transaction and tells when it began.
select clock_timestamp(), set_config('jobhooks.delivery', $1, true)

-- name: record_result
select jobhooks.record_result($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: park_dead
select jobhooks.park_dead($1, $2, $3)
