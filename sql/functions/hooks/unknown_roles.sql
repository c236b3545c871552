-- jobhooks.unknown_roles(hook_id): the roles of a hook that the server does not have, in order.
create or replace function jobhooks.unknown_roles(hook_id integer)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select role_name
    from jobhooks.job_hook as hook
    cross join lateral unnest(hook.roles) as role_name
    where hook.id = unknown_roles.hook_id
        and not exists (select from pg_roles as known where known.rolname = role_name)
    order by role_name
$$;

comment on function jobhooks.unknown_roles(integer) is 'The roles of a hook that the server does not have, in order';
