-- jobhooks.problems_of_hooks(): job hooks that are enabled, but lead to fewer runs than their settings say, or to no runs.
create or replace function jobhooks.problems_of_hooks()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when job.installed then 'warning' else 'error' end,
        format('hook "%s"', hook.name),
        case
            when job.installed then format('its job %s is not enabled, so its changes lead to no runs', job.class_path)
            else format('its job %s is not installed: the daemon does not find that receiver, and its deliveries wait', job.class_path)
        end,
        case
            when job.installed then format('jobhooks job enable %s', job.class_path)
            else 'put the receiver back, or disable the hook'
        end
    from jobhooks.job_hook as hook
    join jobhooks.job as job on job.id = hook.job_id
    where hook.enabled and not (job.installed and job.enabled)
    union all
    select
        'warning', format('hook "%s"', hook.name),
        format('%s is not watched, so its changes are not captured', coalesce(jobhooks.table_name(known.relation), known.name)),
        jobhooks.watch_command(known.id)
    from jobhooks.job_hook as hook
    join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
    join jobhooks.content_type as known on known.id = link.content_type_id
    where hook.enabled and not known.watched
    union all
    select
        -- An update of one of its other columns still fires it.
        case when cardinality(unknown.columns) = cardinality(hook.columns) then 'error' else 'warning' end,
        format('hook "%s"', hook.name),
        format('none of its tables records %s any more, so no update of it fires the hook',
            case cardinality(unknown.columns)
                when 1 then 'its column ' || unknown.columns[1]
                else 'its columns ' || array_to_string(unknown.columns, ', ')
            end),
        -- The name as a shell takes it.
        format('jobhooks hook edit ''%s'' --column COLUMN', replace(hook.name, '''', '''\'''''))
    from jobhooks.job_hook as hook
    cross join lateral (select array(select jobhooks.unknown_columns(hook.id)) as columns) as unknown
    where hook.enabled and cardinality(unknown.columns) > 0
    union all
    select
        'error', format('hook "%s"', hook.name),
        format('the daemon has paused it at %s because %s', known.time::timestamptz(0), known.reason),
        -- The name as a shell takes it.
        format(
            'write through self.connection, or self.mark() the connection; then: jobhooks hook resume ''%s''',
            replace(hook.name, '''', '''\''''')
        )
    from jobhooks.hook_loop as known
    join jobhooks.job_hook as hook on hook.id = known.hook_id
    where hook.enabled and hook.paused
    union all
    -- Such hooks were written while triggers were off, for example by restoring a dump, or before the check existed.
    select
        'warning', format('hook "%s"', conflict.hook),
        format('the hook "%s" also runs %s for %s of %s', conflict.other, conflict.job, conflict.event, conflict.content_type),
        'remove this event or table from one of the two'
    from jobhooks.conflicts_of_hooks() as conflict
$$;

comment on function jobhooks.problems_of_hooks() is
'Job hooks that are enabled, but lead to fewer runs than their settings say, or to no runs';
