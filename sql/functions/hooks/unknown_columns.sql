-- jobhooks.unknown_columns(hook_id): the columns of a hook whose changes none of its tables records, in order.
create or replace function jobhooks.unknown_columns(hook_id integer)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select column_name
    from jobhooks.job_hook as hook
    cross join lateral unnest(hook.columns) as column_name
    where hook.id = unknown_columns.hook_id
        and not exists (
            select from jobhooks.recorded_columns(hook.id) as known where known.name = column_name and not known.ignored
        )
    order by column_name
$$;

comment on function jobhooks.unknown_columns(integer) is
'The columns of a hook whose changes none of its tables records, in order';
