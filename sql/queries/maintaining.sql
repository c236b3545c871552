-- Looking after the log.

-- name: maintain_log
select jobhooks.maintain_log($1)
