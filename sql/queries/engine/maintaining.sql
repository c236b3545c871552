-- Looking after the log.

-- name: maintain_log
select jobhooks.maintain_log(:retention)

-- name: drop_old_results
select jobhooks.drop_old_results(:retention, :after)

-- name: drop_old_history
select jobhooks.drop_old_history(:retention)
