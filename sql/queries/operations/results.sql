-- Results of deliveries, as the command line lists, shows and exports them. A page of results is read by index, then
-- filtered: so no statement takes long, and no snapshot is held for a slow reader.

-- name: jobs_ever_called
-- The job of this class path, and those that had it when they were deleted.
select id from jobhooks.job where class_path = :class_path
union
select change.object_id
from jobhooks.configuration_change as change
where change.kind = 'job' and change.name = :class_path and change.after is null

-- name: hooks_ever_called
-- The hook of this name, and those that had it when they were deleted. The history of hooks is short.
select id from jobhooks.job_hook where name = :name
union
select change.object_id
from jobhooks.configuration_change as change
where change.kind = 'hook' and change.name = :name and change.after is null

-- name: result_ids_before
-- The newest results before the given one. :first_id bounds the change ids; a null :status does not filter.
select change_id, hook_id, attempt
from jobhooks.job_result
where (change_id, hook_id, attempt) < (:change_id::bigint, :hook_id::integer, :attempt::integer)
    and change_id >= :first_id::bigint
    and (:status::text is null or status = :status::text)
order by change_id desc, hook_id desc, attempt desc
limit :limit::integer

-- name: result_ids_after
-- The oldest results after the given one. :last_id bounds the change ids; a null :status does not filter.
select change_id, hook_id, attempt
from jobhooks.job_result
where (change_id, hook_id, attempt) > (:change_id::bigint, :hook_id::integer, :attempt::integer)
    and change_id <= :last_id::bigint
    and (:status::text is null or status = :status::text)
order by change_id, hook_id, attempt
limit :limit::integer

-- name: matching_results
-- Filters a page of results, whose arrays pair up element by element; the newest first. A filter that is null does not apply.
-- Tables are those of the changes, and parents of these that the hook is for.
select result.change_id, result.hook_id, result.attempt
from unnest(:change_ids::bigint [], :hook_ids::integer [], :attempts::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_result as result
    on result.change_id = chosen.change_id and result.hook_id = chosen.hook_id and result.attempt = chosen.attempt
where (:wanted_hook_ids::integer [] is null or result.hook_id = any (:wanted_hook_ids::integer []))
    and (:job_ids::integer [] is null or result.job_id = any (:job_ids::integer []))
    and (:status::text is null or result.status = :status::text)
    and (:least_version::bigint is null or result.version between :least_version::bigint and :greatest_version::bigint)
    and (
        (:content_type_ids::integer [] is null and :since::timestamptz is null and :until::timestamptz is null)
        or exists (
            select from jobhooks.object_change as change
            where change.id = chosen.change_id
                and (
                    :content_type_ids::integer [] is null
                    or change.content_type_id = any (:content_type_ids::integer [])
                    or exists (
                        select from jobhooks.content_type_parent as known
                        join jobhooks.job_hook_content_type as target on target.content_type_id = known.parent_id
                        where known.content_type_id = change.content_type_id and known.active
                            and known.parent_id = any (:content_type_ids::integer []) and target.job_hook_id = result.hook_id
                    )
                )
                and (:since::timestamptz is null or change.time >= :since::timestamptz)
                and (:until::timestamptz is null or change.time < :until::timestamptz)
        )
    )
order by result.change_id desc, result.hook_id desc, result.attempt desc
limit :limit::integer

-- name: changes_that_say
-- The changes with :text in a row, or in the key that stands in for the rows. Compares the rows as text: functions that parse json
-- fail on escapes that text cannot hold.
select
    change.id, content_type.key_columns, (change.context -> 'object_key')::text, change.prechange::text,
    change.postchange::text
from jobhooks.object_change as change
join jobhooks.content_type as content_type on content_type.id = change.content_type_id
where change.id = any (:ids::bigint [])
    and (
        strpos(change.prechange::text, :text::text) > 0
        or strpos(change.postchange::text, :text::text) > 0
        or strpos((change.context -> 'object_key')::text, :text::text) > 0
    )

-- name: results_by_identity
-- The arrays pair up element by element. A hook, and the change, may be gone. The last attempt says what becomes of the delivery.
-- The last column: whether the change is of a child of a table of the hook.
select
    result.change_id, result.hook_id, coalesce(hook.name, jobhooks.deleted_name('hook', result.hook_id)), hook.id is null,
    pending.status is not distinct from 'dead', case when pending.status <> 'dead' then pending.due_at end,
    coalesce(job.class_path, jobhooks.deleted_name('job', result.job_id)), jobhooks.version_text(result.version), known.package,
    result.attempt, result.status, result.started_at, result.finished_at,
    (extract(epoch from result.finished_at - result.started_at) * 1000)::double precision, result.error, result.traceback,
    result.value::text, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
    change.action::text, content_type.key_columns, (change.context -> 'object_key')::text,
    coalesce(change.postchange, change.prechange)::text,
    case when hook.id is not null then coalesce(change.content_type_id = any (jobhooks.children_of_hook(hook.id)), false) else false end
from unnest(:change_ids::bigint [], :hook_ids::integer [], :attempts::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_result as result
    on result.change_id = chosen.change_id and result.hook_id = chosen.hook_id and result.attempt = chosen.attempt
left join jobhooks.job_hook as hook on hook.id = result.hook_id
left join jobhooks.job as job on job.id = result.job_id
left join jobhooks.receiver_version as known on known.job_id = result.job_id and known.version = result.version
left join jobhooks.delivery as pending
    on pending.change_id = result.change_id and pending.hook_id = result.hook_id and pending.attempts = result.attempt
        and result.status = 'failure' and hook.id is not null
left join jobhooks.object_change as change on change.id = result.change_id
left join jobhooks.content_type as content_type on content_type.id = change.content_type_id
order by result.change_id, result.hook_id, result.attempt

-- name: result_ids_of_change
-- Null :hook_ids, or a null :attempt, do not filter.
select change_id, hook_id, attempt
from jobhooks.job_result
where change_id = :change_id
    and (:hook_ids::integer [] is null or hook_id = any (:hook_ids::integer []))
    and (:attempt::integer is null or attempt = :attempt::integer)
order by hook_id, attempt

-- name: log_of_results
-- The log lines of these results, whose arrays pair up element by element.
select
    entry.change_id, entry.hook_id, entry.attempt, entry.time, entry.level, entry.object, entry.message, entry.grouping,
    entry.source
from unnest(:change_ids::bigint [], :hook_ids::integer [], :attempts::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_log_entry as entry
    on entry.change_id = chosen.change_id and entry.hook_id = chosen.hook_id and entry.attempt = chosen.attempt
order by entry.change_id, entry.hook_id, entry.attempt, entry.line

-- name: log_levels_of_results
-- How many lines of each level these results have. The arrays pair up element by element.
select entry.change_id, entry.hook_id, entry.attempt, entry.level, count(*)
from unnest(:change_ids::bigint [], :hook_ids::integer [], :attempts::integer []) as chosen (change_id, hook_id, attempt)
join jobhooks.job_log_entry as entry
    on entry.change_id = chosen.change_id and entry.hook_id = chosen.hook_id and entry.attempt = chosen.attempt
group by entry.change_id, entry.hook_id, entry.attempt, entry.level

-- name: log_lines_before
-- The newest log lines before the given one. :first_id bounds the change ids; null :levels do not filter.
with page as materialized (
    select *
    from jobhooks.job_log_entry
    where (change_id, hook_id, attempt, line) < (:change_id::bigint, :hook_id::integer, :attempt::integer, :line::integer)
        and change_id >= :first_id::bigint
        and (:levels::text [] is null or level = any (:levels::text []))
    order by change_id desc, hook_id desc, attempt desc, line desc
    limit :limit::integer
)
select
    page.change_id, page.hook_id, page.attempt, page.line, coalesce(hook.name, jobhooks.deleted_name('hook', page.hook_id)),
    hook.id is null, coalesce(job.class_path, jobhooks.deleted_name('job', result.job_id)), page.time, page.level, page.object,
    page.message, page.grouping, page.source
from page
left join jobhooks.job_hook as hook on hook.id = page.hook_id
left join jobhooks.job_result as result
    on result.change_id = page.change_id and result.hook_id = page.hook_id and result.attempt = page.attempt
left join jobhooks.job as job on job.id = result.job_id
order by page.change_id desc, page.hook_id desc, page.attempt desc, page.line desc

-- name: changes_caused_by
-- The changes that a run made.
select change.id
from jobhooks.object_change as change
where change.id between :first_id::bigint and :last_id::bigint
    and not change.triggering
    and (change.context -> 'caused_by' ->> 'change')::bigint = :change_id
    and (change.context -> 'caused_by' ->> 'hook')::integer = :hook_id
    and (change.context -> 'caused_by' ->> 'attempt')::integer = :attempt
order by change.id
limit :limit::integer

-- name: results_ended_after
-- Of changes with a greater id.
select change_id, hook_id, attempt, finished_at
from jobhooks.job_result
where change_id > :after_id and finished_at > :ended_after

-- name: last_end_of_results
-- Of changes with a greater id: by the clock of the daemon, which the ends of later ones are compared with.
select coalesce(max(finished_at), 'epoch') from jobhooks.job_result where change_id > :after_id

-- name: keep_snapshot
-- For all queries of this transaction.
set transaction isolation level repeatable read

-- name: ends_of_results
-- The first and the last change with a result; null without results.
select min(change_id), max(change_id) from jobhooks.job_result

-- name: key_columns
select id, key_columns from jobhooks.content_type
