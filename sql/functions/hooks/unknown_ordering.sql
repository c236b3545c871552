-- jobhooks.unknown_ordering(hook_id): the columns that the job of a hook is ordered by, and that none of its tables records.
create or replace function jobhooks.unknown_ordering(hook_id integer)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select column_name
    from jobhooks.job_hook as hook
    join jobhooks.jobs as job on job.id = hook.job_id
    cross join lateral jsonb_array_elements_text(
        case jsonb_typeof(job.settings -> 'order_by') when 'array' then job.settings -> 'order_by' else '[]' end
    ) as column_name
    where hook.id = unknown_ordering.hook_id
        and not exists (select from jobhooks.recorded_columns(hook.id) as known where known.name = column_name)
    order by column_name
$$;

comment on function jobhooks.unknown_ordering(integer) is
'The columns that the job of a hook is ordered by, and that none of its tables records';
