-- jobhooks.configuration_of_hook(hook_id): a job hook with its tables and its job, as it is recorded when it changes.
create or replace function jobhooks.configuration_of_hook(hook_id integer)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'name', hook.name,
        'content_types', hook.content_types,
        'events', hook.events,
        'job', hook.job,
        'enabled', hook.enabled,
        'priority', hook.priority,
        'description', hook.description,
        'columns', hook.columns,
        'conditions', hook.conditions,
        'coalesce_s', hook.coalesce_s
    )
    from jobhooks.hooks as hook
    where hook.id = configuration_of_hook.hook_id
$$;

comment on function jobhooks.configuration_of_hook(integer) is
'A job hook with its tables and its job, as it is recorded when it changes';
