-- jobhooks.problems_of_roles(): roles that could not be created, missing ownership, wrong members, and missing privileges.
create or replace function jobhooks.problems_of_roles()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive member as (
        select membership.member as oid
        from pg_auth_members as membership
        where membership.roleid = (select oid from pg_roles where rolname = 'jobhooks_receiver')
        union
        select membership.member from pg_auth_members as membership join member on member.oid = membership.roleid
    ),

    installer as (
        select nspowner::regrole::text as name from pg_namespace where nspname = 'jobhooks'
    )

    select
        known.severity, 'role ' || known.name, 'it could not be created: ' || format(known.loss, installer.name),
        'install once as a role that may create roles: jobhooks install'
    from installer
    cross join (values
        ('warning', 'jobhooks_owner', 'everything belongs to %s, who can change the log'),
        ('warning', 'jobhooks_capture', 'the functions that write to the log run with all the rights of %s'),
        ('warning', 'jobhooks_receiver', 'only members of %s may mark the writes of receivers'),
        ('note', 'jobhooks_daemon', 'the daemon must connect as %s'),
        ('note', 'jobhooks_operator', 'only %s can change hooks and jobs'),
        ('note', 'jobhooks_viewer', 'only %s can read the log')
    ) as known (severity, name, loss)
    where not exists (select from pg_roles where rolname = known.name)
    union all
    select
        'warning', 'schema jobhooks',
        format('it belongs to %s and not to jobhooks_owner, so %1$s can change the log', installer.name),
        'install as a member of jobhooks_owner that may create in this database, or as a superuser: jobhooks install'
    from installer
    where installer.name <> 'jobhooks_owner' and exists (select from pg_roles where rolname = 'jobhooks_owner')
    union all
    select
        'warning', 'the capture',
        format('it is not confined: %s belong to %s, and a flaw in them would give its rights',
            string_agg(function.proname, ', ' order by function.proname), function.proowner::regrole),
        'install as a superuser: jobhooks install'
    from pg_proc as function
    join pg_namespace as namespace on namespace.oid = function.pronamespace
    where (namespace.nspname = 'jobhooks_capture' or function.proname = 'capture_change' and namespace.nspname = 'jobhooks')
        and function.prosecdef
        and function.proowner::regrole::text <> 'jobhooks_capture'
    group by function.proowner
    union all
    select
        'error', jobhooks.table_name(known.relation),
        'writers without EXECUTE on set_config fail: capture needs it to recognize rows that move to another partition',
        'grant execute on function set_config(text, text, boolean) to public, or to the roles that write to it'
    from jobhooks.content_type as known
    join pg_class as class on class.oid = known.relation and class.relkind = 'p'
    where known.watched and not has_function_privilege('public', 'pg_catalog.set_config(text, text, boolean)', 'execute')
    union all
    select
        'warning', format('role %s', role.rolname),
        'it is a member of jobhooks_receiver and a superuser: receivers may do anything',
        format('run the daemon as another role, and: revoke jobhooks_receiver from %I', role.rolname)
    from member
    join pg_roles as role on role.oid = member.oid
    where role.rolsuper
$$;

comment on function jobhooks.problems_of_roles() is
'Roles that could not be created, missing ownership, wrong members, and missing privileges';
