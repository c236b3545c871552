-- jobhooks.children_of_hook(hook_id): the content types whose changes are updates of a table of the hook, if it is for updates.
create or replace function jobhooks.children_of_hook(hook_id integer)
returns integer []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array(
        select distinct known.content_type_id
        from jobhooks.job_hook as hook
        join jobhooks.job_hook_content_type as link on link.job_hook_id = hook.id
        join jobhooks.content_type_parent as known on known.parent_id = link.content_type_id and known.active
        join jobhooks.content_type as parent on parent.id = known.parent_id and parent.watched
        where hook.id = children_of_hook.hook_id and 'update' = any (hook.events)
        order by 1
    )
$$;

comment on function jobhooks.children_of_hook(integer) is
'The content types whose changes are updates of a table of the hook, if it is for updates';
