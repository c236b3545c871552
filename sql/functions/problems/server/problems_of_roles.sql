-- jobhooks.problems_of_roles(): roles that could not be created, missing ownership, wrong members, missing privileges, and roles
-- with more rights than an installation gives them.
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
    ),

    known_role as (
        select 'jobhooks_' || name as name, name in ('owner', 'capture') as is_owner
        from unnest(array['owner', 'capture', 'daemon', 'receiver', 'viewer', 'operator']) as name
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
    union all
    -- As the query unsafe_roles, which an installation runs first.
    select
        'error', format('role %s', role.rolname),
        'it ' || concat_ws(
            ' and ', case when known.is_owner and role.rolcanlogin then 'can log in' end,
            case when role.rolsuper then 'is a superuser' end, case when role.rolcreaterole then 'may create roles' end,
            case when role.rolreplication then 'may replicate' end,
            case when role.rolbypassrls then 'passes by row-level security' end
        ) || ', which jobhooks never needs',
        format(
            'alter role %I%s nosuperuser nocreaterole noreplication nobypassrls', role.rolname,
            case when known.is_owner then ' nologin' end
        )
    from pg_roles as role
    join known_role as known on known.name = role.rolname
    where known.is_owner and role.rolcanlogin or role.rolsuper or role.rolcreaterole or role.rolreplication
        or role.rolbypassrls
    union all
    select
        'warning', format('role %s', role.rolname),
        'it is a member of jobhooks_capture, which only jobhooks_owner needs to be: it can write changes that never happened',
        format('revoke jobhooks_capture from %I', role.rolname)
    from pg_auth_members as membership
    join pg_roles as capture on capture.oid = membership.roleid and capture.rolname = 'jobhooks_capture'
    join pg_roles as owner on owner.rolname = 'jobhooks_owner'
    join pg_roles as role on role.oid = membership.member
    where not role.rolsuper and not pg_has_role(role.oid, owner.oid, 'member') and pg_has_role(role.oid, capture.oid, 'usage')
$$;

comment on function jobhooks.problems_of_roles() is
'Roles that could not be created, missing ownership, wrong members, missing privileges, and too many rights';
