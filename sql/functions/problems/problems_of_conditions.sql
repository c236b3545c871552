-- jobhooks.problems_of_conditions(): enabled job hooks whose conditions cannot be evaluated.
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
$$;

comment on function jobhooks.problems_of_conditions() is
'Enabled job hooks whose conditions cannot be evaluated';
