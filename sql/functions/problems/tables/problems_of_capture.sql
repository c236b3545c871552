-- jobhooks.problems_of_capture(): functions that write changes to the log, but not as this version of jobhooks does.
--
-- Only the number of the segment may differ from the template.
create or replace function jobhooks.problems_of_capture()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'error', 'the capture',
        case
            when live.oid is null then format('the function %s is missing', template.function)
            else format('the function %s is not the one that jobhooks installed', template.function)
        end,
        'jobhooks install'
    from jobhooks.capture_template as template
    cross join (select max(number) as number from jobhooks.log_segment) as newest
    -- By name: a viewer may not use the schema, which to_regprocedure asks for.
    left join pg_proc as live
        on live.oid::regprocedure::text = template.function
        and live.pronamespace = (select oid from pg_namespace where nspname = 'jobhooks_capture')
    where pg_get_functiondef(live.oid) is distinct from replace(template.definition, '{segment}', newest.number::text)
$$;

comment on function jobhooks.problems_of_capture() is
'Functions that write changes to the log, but not as this version of jobhooks does';
