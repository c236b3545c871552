-- What became of deliveries, as the command line lists, shows and exports it. A page of results is taken by index, then thinned
-- out to those that are asked for: so no statement takes long, and none keeps a snapshot while somebody reads.

-- name: job_called
select id from jobhooks.job where class_path = $1

-- name: result_ids_before
-- Before the change $1, the hook $2 and the attempt $3, of changes from $4 on, and of the status $5, if given; the newest $6.
select change_id, hook_id, attempt
from jobhooks.job_result
where (change_id, hook_id, attempt) < ($1::bigint, $2::integer, $3::integer)
    and change_id >= $4::bigint
    and ($5::text is null or status = $5::text)
order by change_id desc, hook_id desc, attempt desc
limit $6::integer

-- name: result_ids_after
-- After the change $1, the hook $2 and the attempt $3, of changes up to $4, and of the status $5, if given; the oldest $6.
select change_id, hook_id, attempt
from jobhooks.job_result
where (change_id, hook_id, attempt) > ($1::bigint, $2::integer, $3::integer)
    and change_id <= $4::bigint
    and ($5::text is null or status = $5::text)
order by change_id, hook_id, attempt
limit $6::integer

-- name: matching_results
-- Of the results (changes $1, hooks $2, attempts $3, element by element) those of the hooks $4, of the jobs $5, of the status $6,
-- and of changes of the content types $7, from the time $8 to $9, as far as given; the newest first, at most $10.
select result.change_id, result.hook_id, result.attempt
from unnest($1::bigint [], $2::integer [], $3::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_result as result
    on result.change_id = chosen.change_id and result.hook_id = chosen.hook_id and result.attempt = chosen.attempt
where ($4::integer [] is null or result.hook_id = any ($4::integer []))
    and ($5::integer [] is null or result.job_id = any ($5::integer []))
    and ($6::text is null or result.status = $6::text)
    and (
        ($7::integer [] is null and $8::timestamptz is null and $9::timestamptz is null)
        or exists (
            select from jobhooks.object_change as change
            where change.id = chosen.change_id
                and ($7::integer [] is null or change.content_type_id = any ($7::integer []))
                and ($8::timestamptz is null or change.time >= $8::timestamptz)
                and ($9::timestamptz is null or change.time < $9::timestamptz)
        )
    )
order by result.change_id desc, result.hook_id desc, result.attempt desc
limit $10::integer

-- name: changes_that_say
-- Which of the changes $1 have the text $2 in a row, or in the key that stands in for the rows: the rows whole, since what takes
-- json apart fails where that holds what no text can.
select
    change.id, content_type.key_columns, (change.context -> 'object_key')::text, change.prechange::text,
    change.postchange::text
from jobhooks.object_change as change
join jobhooks.content_type as content_type on content_type.id = change.content_type_id
where change.id = any ($1::bigint [])
    and (
        strpos(change.prechange::text, $2::text) > 0
        or strpos(change.postchange::text, $2::text) > 0
        or strpos((change.context -> 'object_key')::text, $2::text) > 0
    )

-- name: results_by_identity
-- Those of the changes $1, the hooks $2 and the attempts $3, element by element. A hook, and the change, may be gone.
select
    result.change_id, result.hook_id, hook.name, job.class_path, result.attempt, result.status, result.started_at,
    result.finished_at, (extract(epoch from result.finished_at - result.started_at) * 1000)::double precision, result.error,
    result.traceback, result.value::text, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
    change.action::text, content_type.key_columns, (change.context -> 'object_key')::text,
    coalesce(change.postchange, change.prechange)::text
from unnest($1::bigint [], $2::integer [], $3::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_result as result
    on result.change_id = chosen.change_id and result.hook_id = chosen.hook_id and result.attempt = chosen.attempt
left join jobhooks.job_hook as hook on hook.id = result.hook_id
left join jobhooks.job as job on job.id = result.job_id
left join jobhooks.object_change as change on change.id = result.change_id
left join jobhooks.content_type as content_type on content_type.id = change.content_type_id
order by result.change_id, result.hook_id, result.attempt

-- name: result_ids_of_change
-- Of the change $1, and of the hook $2 and the attempt $3, if given.
select change_id, hook_id, attempt
from jobhooks.job_result
where change_id = $1
    and ($2::integer is null or hook_id = $2::integer)
    and ($3::integer is null or attempt = $3::integer)
order by hook_id, attempt

-- name: log_of_results
-- What was logged in the results (changes $1, hooks $2, attempts $3, element by element).
select entry.change_id, entry.hook_id, entry.attempt, entry.time, entry.level, entry.object, entry.message
from unnest($1::bigint [], $2::integer [], $3::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_log_entry as entry
    on entry.change_id = chosen.change_id and entry.hook_id = chosen.hook_id and entry.attempt = chosen.attempt
order by entry.change_id, entry.hook_id, entry.attempt, entry.line

-- name: log_lines_before
-- Before the line $4 of the change $1, the hook $2 and the attempt $3, of changes from $5 on, and of the levels $6, if given; the
-- newest $7.
with page as materialized (
    select *
    from jobhooks.job_log_entry
    where (change_id, hook_id, attempt, line) < ($1::bigint, $2::integer, $3::integer, $4::integer)
        and change_id >= $5::bigint
        and ($6::text [] is null or level = any ($6::text []))
    order by change_id desc, hook_id desc, attempt desc, line desc
    limit $7::integer
)
select
    page.change_id, page.hook_id, page.attempt, page.line, hook.name, job.class_path, page.time, page.level, page.object,
    page.message
from page
left join jobhooks.job_hook as hook on hook.id = page.hook_id
left join jobhooks.job_result as result
    on result.change_id = page.change_id and result.hook_id = page.hook_id and result.attempt = page.attempt
left join jobhooks.job as job on job.id = result.job_id
order by page.change_id desc, page.hook_id desc, page.attempt desc, page.line desc

-- name: changes_caused_by
-- Between the ids $1 and $2, those that the run (change $3, hook $4, attempt $5) made; at most $6.
select change.id
from jobhooks.object_change as change
where change.id between $1::bigint and $2::bigint
    and not change.triggering
    and (change.context -> 'caused_by' ->> 'change')::bigint = $3
    and (change.context -> 'caused_by' ->> 'hook')::integer = $4
    and (change.context -> 'caused_by' ->> 'attempt')::integer = $5
order by change.id
limit $6::integer

-- name: ends_of_results
-- The first and the last change that have a result; null where none has.
select min(change_id), max(change_id) from jobhooks.job_result

-- name: key_columns
select id, key_columns from jobhooks.content_type
