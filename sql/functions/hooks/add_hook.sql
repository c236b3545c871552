-- jobhooks.add_hook(name, content_types, events, job, ...): add a job hook; returns its id.
--
-- content_types: names of watched tables; events: names of actions; job: the class path of a known job. The rest is as in
-- jobhooks.job_hook. Settings that have no parameter here: jobhooks.save_hook.
create or replace function jobhooks.add_hook(
    name text,
    content_types text [],
    events text [],
    job text,
    description text default '',
    columns text [] default '{}',
    conditions text default '',
    coalesce_s double precision default null,
    enabled boolean default true,
    priority integer default 0
)
returns integer
language sql
set search_path = pg_catalog, pg_temp
as $$
    select jobhooks.save_hook(null, jsonb_build_object(
        'name', add_hook.name, 'content_types', add_hook.content_types, 'events', add_hook.events, 'job', add_hook.job,
        'description', add_hook.description, 'columns', add_hook.columns, 'conditions', add_hook.conditions,
        'coalesce_s', add_hook.coalesce_s, 'enabled', add_hook.enabled, 'priority', add_hook.priority
    ))
$$;

comment on function jobhooks.add_hook(
    text, text [], text [], text, text, text [], text, double precision, boolean, integer
) is 'Add a job hook; returns its id';
