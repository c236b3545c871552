-- jobhooks.conflicts_of_hooks(hook_id): hooks that differ in nothing that matters to a change, enabled or not.
--
-- They share a content type, a job and an event, and have the same conditions, columns, roles and data. hook_id: of this hook only. A change would run the job twice, in no order. Whether a hook is enabled does not matter: else
-- enabling one could fail long after it was saved.
create or replace function jobhooks.conflicts_of_hooks(hook_id integer default null)
returns table (hook text, other text, job text, content_type text, event text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        hook.name, other.name, job.class_path, coalesce(jobhooks.table_name(content_type.relation), content_type.name),
        event.action::text
    from jobhooks.job_hook as hook
    join jobhooks.job_hook as other
        on other.job_id = hook.job_id and other.id <> hook.id and other.events && hook.events
        and other.conditions = hook.conditions
        and other.columns @> hook.columns and other.columns <@ hook.columns
        and other.roles @> hook.roles and other.roles <@ hook.roles
        and other.data = hook.data
    join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
    join jobhooks.job_hook_content_type as other_link
        on other_link.job_hook_id = other.id and other_link.content_type_id = link.content_type_id
    join jobhooks.content_type as content_type on content_type.id = link.content_type_id
    join jobhooks.job as job on job.id = hook.job_id
    cross join lateral (
        select unnest(hook.events) as action intersect select unnest(other.events)
    ) as event
    where hook.id = conflicts_of_hooks.hook_id or (conflicts_of_hooks.hook_id is null and hook.id > other.id)
    order by 1, 2, 4, event.action
$$;

comment on function jobhooks.conflicts_of_hooks(integer) is
'Hooks that differ in nothing that matters to a change, enabled or not';
