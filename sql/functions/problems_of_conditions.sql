-- jobhooks.problems_of_conditions(): enabled job hooks whose conditions or columns keep changes from them by mistake.
create or replace function jobhooks.problems_of_conditions()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when failure.invalid then 'error' else 'warning' end,
        format('hook "%s"', hook.name),
        case
            when failure.invalid then format('changes pass it by: %s', failure.error)
            else format(
                'about %s %s passed it by since its conditions could not be evaluated, the last of them change %s: %s',
                failure.failures, case failure.failures when 1 then 'change' else 'changes' end, failure.change_id, failure.error
            )
        end,
        'mend its conditions, which begins to count anew'
    from jobhooks.condition_failure as failure
    join jobhooks.job_hook as hook on hook.id = failure.hook_id
    where hook.enabled
    union all
    select
        'warning',
        format('hook "%s"', hook.name),
        format(
            'no table of it records a column "%s" whose change it waits for: it was renamed, dropped, excluded or ignored', wanted.name
        ),
        'mend its columns'
    from jobhooks.job_hook as hook
    cross join unnest(hook.columns) as wanted (name)
    where hook.enabled
        and not exists (
            select
            from jobhooks.job_hook_content_type as link
            join jobhooks.content_type as known on known.id = link.content_type_id
            join pg_attribute as attribute
                on attribute.attrelid = known.relation and attribute.attnum > 0 and not attribute.attisdropped
            where link.job_hook_id = hook.id
                and attribute.attname = wanted.name
                and wanted.name <> all (known.exclude || known.ignore)
        )
$$;

comment on function jobhooks.problems_of_conditions() is
'Enabled job hooks whose conditions or columns keep changes from them by mistake';
