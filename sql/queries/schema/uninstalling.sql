-- Removing everything again. Roles belong to the whole cluster; pg_shdepend, which all databases share, shows their use.

-- name: what_is_installed
-- Counted up to a million and one, so that the command answers quickly.
select
    (select count(*) from jobhooks.content_type where watched and exists (select from pg_class where oid = relation)),
    (select count(*) from (select from jobhooks.object_change limit 1000001) as change),
    (
        select count(*) from pg_stat_activity
        where datname = current_database() and application_name = 'jobhooks' and pid <> pg_backend_pid()
    )

-- name: not_owned_schemas
select nspname::text
from pg_namespace
where nspname in ('jobhooks', 'jobhooks_capture') and not pg_has_role(nspowner, 'usage')

-- name: dependents
-- Objects of others that depend on the schemas and would be dropped with them; and foreign objects that belong to our roles
-- and would be dropped with these.
with own as (
    select 'pg_class'::regclass as classid, oid from pg_class where relnamespace::regnamespace::text = any (:schemas::text [])
    union all
    select 'pg_proc'::regclass, oid from pg_proc where pronamespace::regnamespace::text = any (:schemas::text [])
    union all
    select 'pg_type'::regclass, oid from pg_type where typnamespace::regnamespace::text = any (:schemas::text [])
),

dependent as (
    select depend.classid, depend.objid, depend.objsubid, 'uses jobhooks' as why
    from pg_depend as depend
    join own on (own.classid, own.oid) = (depend.refclassid, depend.refobjid)
    where depend.deptype = 'n'
    union all
    select depend.classid, depend.objid, depend.objsubid, 'belongs to ' || role.rolname
    from pg_shdepend as depend
    join pg_roles as role on role.oid = depend.refobjid and depend.refclassid = 'pg_authid'::regclass
    where depend.deptype = 'o'
        and depend.dbid = (select oid from pg_database where datname = current_database())
        and role.rolname = any (:roles::text [])
)

select distinct regexp_replace(object.identity, '^"?_RETURN"? on ', '') || ' ' || dependent.why
from dependent
cross join lateral pg_identify_object(dependent.classid, dependent.objid, dependent.objsubid) as object
where object.type <> 'trigger'
    and object.identity !~ '^((.* on|for) )?"?(jobhooks|jobhooks_capture)("?\.|$)'
order by 1

-- name: own_triggers
-- Triggers on tables that this role owns. A trigger that a partition has from its parent goes with the parent's.
select class.oid::bigint, namespace.nspname::text, class.relname::text, array_agg(trigger.tgname::text order by trigger.tgname)
from pg_trigger as trigger
join pg_proc as function on function.oid = trigger.tgfoid
join pg_class as class on class.oid = trigger.tgrelid
join pg_namespace as namespace on namespace.oid = class.relnamespace
where function.pronamespace::regnamespace::text in ('jobhooks', 'jobhooks_capture')
    and namespace.nspname not in ('jobhooks', 'jobhooks_capture')
    and trigger.tgparentid = 0
    and not trigger.tgisinternal
    and pg_has_role(class.relowner, 'usage')
group by class.oid, namespace.nspname, class.relname
order by 2, 3

-- name: note_unwatched
update jobhooks.content_type set watched = false where relation = :relation::bigint::oid

-- name: drop_schemas
drop schema if exists jobhooks, jobhooks_capture cascade

-- name: own_roles
-- The roles that exist, and whether another database uses them: it has objects of theirs, or grants to them.
select
    role.rolname::text,
    exists (
        select from pg_shdepend as depend
        where depend.refclassid = 'pg_authid'::regclass
            and depend.refobjid = role.oid
            and (
                depend.dbid not in (0, own.oid)
                or (depend.classid = 'pg_database'::regclass and depend.objid <> own.oid)
            )
    ),
    pg_has_role(role.oid, 'usage')
from pg_roles as role
join pg_database as own on own.datname = current_database()
where role.rolname = any (:roles::text [])
order by 1
