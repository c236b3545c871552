-- jobhooks_capture.callers(): the roles that may call the capture functions by name, or name them in an object; 0 is PUBLIC.
--
-- That takes USAGE of the schema, which no grant of jobhooks gives, but pg_read_all_data does. Without superusers and members of
-- the schema's owner, who may replace the functions anyway, and pg_write_all_data, which may write to the tables anyway.
create or replace function jobhooks_capture.callers()
returns setof oid
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive capture as (
        select namespace.nspowner, namespace.nspacl, (
            select proowner from pg_proc
            where pronamespace = namespace.oid and proname = 'record_change'
        ) as writer
        from pg_namespace as namespace
        where namespace.nspname = 'jobhooks_capture'
    ),

    caller as (
        select oid from pg_roles where rolname = 'pg_read_all_data'
        union
        select privilege.grantee from capture cross join aclexplode(capture.nspacl) as privilege
        where privilege.privilege_type = 'USAGE' and privilege.grantee not in (capture.nspowner, capture.writer)
        union
        select membership.member from pg_auth_members as membership join caller on caller.oid = membership.roleid
    )

    select caller.oid
    from caller
    cross join capture
    left join pg_roles as role on role.oid = caller.oid
    -- Roles below 16384 are those of PostgreSQL, which cannot log in; their members are in the list.
    where caller.oid = 0 or caller.oid >= 16384 and not role.rolsuper
        and not pg_has_role(caller.oid, capture.nspowner, 'member')
        and not pg_has_role(caller.oid, 'pg_write_all_data', 'usage')
$$;

comment on function jobhooks_capture.callers() is
'The roles that may call the capture functions by name, or name them in an object; 0 is PUBLIC';
