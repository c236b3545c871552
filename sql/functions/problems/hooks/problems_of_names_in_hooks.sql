-- jobhooks.problems_of_names_in_hooks(): job hooks with roles that are gone, or whose jobs are ordered by columns that are gone.
create or replace function jobhooks.problems_of_names_in_hooks()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        -- Sessions of its other roles still trigger it.
        case when cardinality(unknown.roles) = cardinality(hook.roles) then 'error' else 'warning' end,
        format('hook "%s"', hook.name),
        case cardinality(unknown.roles)
            when 1 then format('there is no role %s any more, which it asks for', unknown.roles[1])
            else format('there are no roles %s any more, which it asks for', array_to_string(unknown.roles, ', '))
        end,
        -- The name as a shell takes it.
        format('jobhooks hook edit ''%s'' --roles ROLE', replace(hook.name, '''', '''\'''''))
    from jobhooks.job_hook as hook
    cross join lateral (select array(select jobhooks.unknown_roles(hook.id)) as roles) as unknown
    where hook.enabled and cardinality(unknown.roles) > 0
    union all
    select
        'warning', format('hook "%s"', hook.name),
        format('its job is ordered by %s, which none of its tables records: its runs follow each other', unknown.columns),
        format('jobhooks job set %s order_by=COLUMN', job.class_path)
    from jobhooks.job_hook as hook
    join jobhooks.job as job on job.id = hook.job_id
    cross join lateral (
        select string_agg(missing, ', ') as columns from jobhooks.unknown_ordering(hook.id) as missing
    ) as unknown
    where hook.enabled and unknown.columns is not null
    union all
    select
        'warning', format('hook "%s"', hook.name),
        format('its rate is per %s, which one of its tables does not record: all rows of that table share the rate', unknown.columns),
        format('jobhooks hook edit ''%s'' --rate-per COLUMN', replace(hook.name, '''', '''\'''''))
    from jobhooks.job_hook as hook
    cross join lateral (
        select string_agg(missing, ', ') as columns from jobhooks.unknown_rate_keys(hook.id) as missing
    ) as unknown
    where hook.enabled and unknown.columns is not null
$$;

comment on function jobhooks.problems_of_names_in_hooks() is
'Job hooks with roles that are gone, or whose jobs are ordered by columns that are gone';
