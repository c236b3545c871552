-- jobhooks.problems_of_positions(): hooks for which the log keeps changes that the others are past, for more than an hour.
create or replace function jobhooks.problems_of_positions()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'warning', format('hook "%s"', hook.name),
        format(
            '%s, and holds about %s of the log (%s) since %s',
            case
                when hook.paused then 'it is paused'
                when not job.installed then 'it waits for its receiver'
                when hook.rate <> '' then format('it is behind the others, with a rate of %s', hook.rate)
                else 'it is behind the others'
            end,
            case lagging.held_changes when 1 then '1 change' else lagging.held_changes || ' changes' end,
            pg_size_pretty(lagging.held_bytes), lagging.held_since::timestamptz(0)
        ),
        format(
            case
                when hook.paused then 'jobhooks hook resume %1$s'
                when not job.installed then 'put the receiver back'
                else 'jobhooks status shows whether it catches up'
            end || '; or, to skip these changes: jobhooks hook disable %1$s',
            -- As a shell takes it.
            '''' || replace(hook.name, '''', '''\''''') || ''''
        )
    from jobhooks.lagging_hooks() as lagging
    join jobhooks.job_hook as hook on hook.id = lagging.hook_id
    join jobhooks.job as job on job.id = hook.job_id
    where lagging.held_since < now() - interval '1 hour'
$$;

comment on function jobhooks.problems_of_positions() is
'Hooks for which the log keeps changes that the others are past, for more than an hour';
