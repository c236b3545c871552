-- The names that a shell completes.

-- name: watched_tables_beginning
select coalesce(jobhooks.table_name(relation), name)
from jobhooks.content_type
where watched and starts_with(coalesce(jobhooks.table_name(relation), name), :prefix::text)
order by 1
limit 1000

-- name: tables_beginning
-- Tables that can be watched, judging by their names.
select jobhooks.table_name(class.oid)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.relkind in ('r', 'p')
    and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
    and class.relpersistence <> 't'
    and starts_with(jobhooks.table_name(class.oid), :prefix::text)
order by 1
limit 1000

-- name: hooks_beginning
select name from jobhooks.job_hook where starts_with(name, :prefix::text) order by 1 limit 1000

-- name: jobs_beginning
select class_path from jobhooks.job where starts_with(class_path, :prefix::text) order by 1 limit 1000
