-- jobhooks.problems_of_marks(): roles that mark changes without permission, or could although they are not for receivers.
--
-- By the newest changes: of the last 24 hours, and no more than 10,000.
create or replace function jobhooks.problems_of_marks()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recent as materialized (
        select newest.id, newest.session_role, newest.triggering, newest.context ->> 'refused_mark' as refused_mark
        from (select * from jobhooks.object_change order by id desc limit 10000) as newest
        where newest.time > now() - interval '24 hours'
    )

    select
        'warning', format('role %s', session_role),
        format(
            'it marked changes as those of a receiver without permission, so they trigger hooks (%s recently, the last is change'
            ' %s: %s)', count(*), max(id), (array_agg(refused_mark order by id desc))[1]
        ),
        format(
            'for a receiver: grant jobhooks_receiver to %I; else find out what sets jobhooks.delivery or jobhooks.triggering',
            session_role
        )
    from recent
    where refused_mark is not null
    group by session_role
    union all
    select
        case when role.rolsuper then 'note' else 'warning' end, format('role %s', role.rolname),
        format(
            'it writes as an application and %s, so it could hide changes from hooks',
            case when role.rolsuper then 'is a superuser' else 'is a member of ' || (
                select string_agg(member.rolname, ' and ' order by member.rolname)
                from pg_roles as member
                where member.rolname in ('jobhooks_owner', 'jobhooks_daemon', 'jobhooks_receiver')
                    and pg_has_role(role.oid, member.oid, 'member')
            ) end
        ),
        'connect the application as another role'
    from pg_roles as role
    where role.rolname in (select distinct session_role from recent where triggering)
        and exists (
            select from pg_roles as member
            where member.rolname in ('jobhooks_owner', 'jobhooks_daemon', 'jobhooks_receiver') and pg_has_role(role.oid, member.oid, 'member')
        )
$$;

comment on function jobhooks.problems_of_marks() is 'Who marks changes without leave, and who could although no receiver';
