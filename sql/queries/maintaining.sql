-- Looking after the log.

-- name: maintain_log
select jobhooks.maintain_log($1)

-- name: drop_old_results
select jobhooks.drop_old_results($1, $2)

-- name: drop_old_history
select jobhooks.drop_old_history($1)
