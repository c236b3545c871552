-- jobhooks.problems_of_receivers(): modules that the daemon cannot import, and directories of receivers that do not exist.
create or replace function jobhooks.problems_of_receivers()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when exists (
            select from jobhooks.job_hook as hook
            join jobhooks.job as job on job.id = hook.job_id
            where hook.enabled and job.class_path like replace(replace(broken.module, '\', '\\'), '_', '\_') || '.%'
        ) then 'error' else 'warning' end,
        format('receiver module %s', broken.module),
        format('the daemon cannot load it: %s%s: %s', broken.path, ':' || broken.line, broken.error),
        'correct the file: the daemon loads it again when it is saved'
    from jobhooks.broken_module as broken
    where jobhooks.has_loaded()
    union all
    select
        'warning', 'receivers_path', format('the daemon looks for receivers in %s, which does not exist', missing.directory),
        'make the directory, or correct the setting'
    from jobhooks.receiver_load as load
    cross join unnest(load.missing) as missing (directory)
    where jobhooks.has_loaded()
$$;

comment on function jobhooks.problems_of_receivers() is
'Modules that the daemon cannot import, and directories of receivers that do not exist';
