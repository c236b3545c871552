-- Installing, and reading the installed version. Waits for table locks are short: a waiting session makes the application's
-- statements queue behind it.

-- name: lock_installation
-- One installation at a time: the others wait for a table that only its owner can lock. In a database without the schema they
-- wait for an advisory lock (1785684584 is 'jobh'), which every role can hold: so with a limit, and then they go on.
do $$
begin
    if not exists (select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')) then
        perform set_config('lock_timeout', '10s', true);
        begin
            perform pg_advisory_xact_lock(1785684584, 1);
        exception when lock_not_available then null;
        end;
    end if;
    if exists (select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')) then
        perform set_config('lock_timeout', '10s', true);
        lock table jobhooks.migration in share row exclusive mode;
    end if;
    perform set_config('check_function_bodies', 'off', true), set_config('lock_timeout', '1s', true);
end
$$

-- name: other_installations
-- The sessions that hold the lock of an installation.
select activity.pid, coalesce(activity.usename::text, 'a dropped role'), activity.application_name
from pg_locks as lock
join pg_class as class on class.oid = lock.relation and class.relname = 'migration'
join pg_stat_activity as activity on activity.pid = lock.pid
where class.relnamespace = to_regnamespace('jobhooks') and lock.granted and lock.mode = 'ShareRowExclusiveLock'
    and lock.database = (select oid from pg_database where datname = current_database())

-- name: relation_called
-- The name with its schema. An error if PostgreSQL finds no such table along search_path.
select format('%I.%I', namespace.nspname, class.relname)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.oid = :name::text::regclass

-- name: tables_called
-- The tables in any schema that a name without one can mean. parse_ident raises on a part that SQL takes in double quotes only;
-- case asks before it is called, and regclass takes such a part.
select format('%I.%I', namespace.nspname, class.relname)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where array[class.relname::text] = case
        when :name::text ~ '^\s*(([A-Za-z_]|[^\x01-\x7f])([A-Za-z0-9_$]|[^\x01-\x7f])*|"([^"]|"")+")\s*$' then parse_ident(:name::text)
        else array[:name::text]
    end
    and class.relkind in ('r', 'p') and class.relpersistence <> 't'
    and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
order by 1
limit 10

-- name: names_of_tables
select format('%I.%I', namespace.nspname, class.relname)
from pg_class as class
join pg_namespace as namespace on namespace.oid = class.relnamespace
where class.relkind in ('r', 'p') and class.relpersistence <> 't'
    and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
order by 1
limit 10000

-- name: has_schema
select exists (
    select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')
)

-- name: foreign_owners
-- Roles whose code a superuser would run with any statement on the schemas of jobhooks: owners of its objects, and of functions
-- that triggers, defaults, checks and views of its tables call. No rows if the session's role is no superuser. It runs before
-- anything else, so it names nothing that such a role can create.
with own as (
    select oid, nspowner from pg_namespace where nspname in ('jobhooks', 'jobhooks_capture')
),
part as (
    select tableoid as catalog, oid, tgrelid as relation from pg_trigger
    union all select tableoid, oid, adrelid from pg_attrdef
    union all select tableoid, oid, conrelid from pg_constraint
    union all select tableoid, oid, ev_class from pg_rewrite
),
owner as (
    select nspowner as oid from own
    union select relowner from pg_class where relnamespace in (select oid from own)
    union select proowner from pg_proc where pronamespace in (select oid from own)
    union select typowner from pg_type where typnamespace in (select oid from own)
    union select function.proowner
    from part
    join pg_class as class on class.oid = part.relation and class.relnamespace in (select oid from own)
    join pg_depend as depend on depend.classid = part.catalog and depend.objid = part.oid
    join pg_proc as function on depend.refclassid = 'pg_proc'::regclass and function.oid = depend.refobjid
)
select coalesce(role.rolname, owner.oid::text)
from owner
left join pg_roles as role on role.oid = owner.oid
where (select rolsuper from pg_roles where rolname = current_user)
    and role.rolsuper is not true
    and (role.rolname in ('jobhooks_owner', 'jobhooks_capture') and not role.rolcanlogin) is not true
order by 1

-- name: unsafe_roles
-- Roles of jobhooks that somebody made with more rights than an installation gives them.
select
    role.rolname, concat_ws(
        ' and ', case when known.is_owner and role.rolcanlogin then 'can log in' end, case when role.rolsuper then 'is a superuser' end,
        case when role.rolcreaterole then 'may create roles' end, case when role.rolreplication then 'may replicate' end,
        case when role.rolbypassrls then 'passes by row-level security' end
    ),
    format(
        'alter role %I%s nosuperuser nocreaterole noreplication nobypassrls', role.rolname,
        case when known.is_owner then ' nologin' end
    )
from pg_roles as role
join (values
    ('jobhooks_owner', true), ('jobhooks_capture', true), ('jobhooks_daemon', false), ('jobhooks_receiver', false),
    ('jobhooks_viewer', false), ('jobhooks_operator', false)
) as known (name, is_owner) on known.name = role.rolname
where known.is_owner and role.rolcanlogin or role.rolsuper or role.rolcreaterole or role.rolreplication or role.rolbypassrls
order by 1

-- name: may_read_schema
select has_schema_privilege('jobhooks', 'usage')

-- name: schema_version
-- After a restore without data the table is empty: then the version is in a function, which is not called here. An older schema has
-- none, and shows its version by what it has. recorded: whether the table has it.
select
    coalesce(max(version), (
        select substring(prosrc from '[0-9]+')::integer from pg_proc
        where proname = 'schema_version' and pronamespace = to_regnamespace('jobhooks')
    ), (
        select max(case
            when mark.version = 15 and not exists (
                select from pg_constraint where conrelid = class.oid and contype = 'f'
            ) then 19
            else mark.version
        end)
        from (values
            (12, 'job', 'settings'), (13, 'capture_template', 'definition'), (14, 'condition_verdict', 'conditions'),
            (15, 'hook_position', 'seen'), (16, 'job_hook', 'paused'), (17, 'suspect', 'state'), (20, 'cursor', 'leader_pid')
        ) as mark (version, name, column_name)
        join pg_class as class on class.relnamespace = to_regnamespace('jobhooks') and class.relname = mark.name
        join pg_attribute as attribute on attribute.attrelid = class.oid and attribute.attname = mark.column_name
    ), 0) as version,
    count(*) > 0 as recorded
from jobhooks.migration

-- name: has_rows
-- Whether the rows are there without which nothing works, and whether the log's sequence is past all ids that are in use.
select
    exists (select from jobhooks.installation) and exists (select from jobhooks.cursor)
    and exists (select from jobhooks.configuration) and exists (select from jobhooks.log_segment),
    jobhooks.greatest_change_id() <= coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0)

-- name: installation
select program_version, functions_digest from jobhooks.installation

-- name: record_migration
insert into jobhooks.migration (version, name) values (:version, :name) on conflict do nothing

-- name: record_installation
insert into jobhooks.installation as installation (program_version, functions_digest)
values (:program_version, :functions_digest)
on conflict (singleton) do update
set program_version = excluded.program_version, functions_digest = excluded.functions_digest, installed_at = now()
where (installation.program_version, installation.functions_digest)
    is distinct from (excluded.program_version, excluded.functions_digest)

-- name: right_to_install
-- The missing right to install, upgrade and uninstall: a grant, or the role to use, since a superuser cannot be granted.
select
    case
        when owner.rolname is null then format('grant create on database %I to %I', current_database(), current_user)
        when owner.rolsuper then format('the same command as the role %I, which owns the schema', owner.rolname)
        else format('grant %I to %I', owner.rolname, current_user)
    end
from (select to_regnamespace('jobhooks') as oid) as schema
left join pg_namespace as namespace on namespace.oid = schema.oid
left join pg_roles as owner on owner.oid = namespace.nspowner

-- name: missing_grant
-- The grant that lets the session use an object of jobhooks: of the role with the fewest rights that may use it.
select format('grant %I to %I', rolname, current_user)
from pg_roles as role
join unnest(
    array['jobhooks_viewer', 'jobhooks_operator', 'jobhooks_daemon', 'jobhooks_owner']
) with ordinality as known (rolname, rank) using (rolname)
where (:name = 'jobhooks' and has_schema_privilege(role.oid, 'jobhooks', 'usage'))
    or exists (
        select from pg_proc as function
        where function.pronamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace)
            and function.proname = :name
            and has_function_privilege(role.oid, function.oid, 'execute')
            and not has_function_privilege(function.oid, 'execute')
    )
    or exists (
        select from pg_class as class
        cross join unnest(array['select', 'insert', 'update']) as privilege
        where class.relnamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace)
            and class.relname = :name and class.relkind in ('r', 'p', 'v')
            and has_any_column_privilege(role.oid, class.oid, privilege)
            and not has_any_column_privilege(class.oid, privilege)
    )
    or exists (
        select from pg_class as class
        where class.relnamespace = 'jobhooks'::regnamespace and class.relname = :name and class.relkind in ('r', 'p')
            and has_table_privilege(role.oid, class.oid, 'delete') and not has_table_privilege(class.oid, 'delete')
    )
order by known.rank
limit 1

-- name: is_original
select
    (cursor.system_identifier, cursor.database_oid)
    = (control.system_identifier, (select oid from pg_database where datname = current_database()))
from jobhooks.cursor, pg_control_system() as control

-- name: may_mark
select jobhooks.may_mark()

-- name: will_mark
-- Whether this role may mark once it has installed, and whether that takes a role that exists already. An installation creates
-- the role if it may; its creator is a member from PostgreSQL 16 on. See may_mark.
select
    case
        when to_regrole('jobhooks_receiver') is not null then pg_has_role(session_user, 'jobhooks_receiver', 'member')
        else installer.rolsuper or not installer.rolcreaterole or current_setting('server_version_num')::integer >= 160000
    end,
    to_regrole('jobhooks_receiver') is not null
from pg_roles as installer
where installer.rolname = session_user

-- name: capture_is_confined
select proowner = to_regrole('jobhooks_capture') is true
from pg_proc
where oid = 'jobhooks_capture.record_change(integer, jobhooks.action, json, json)'::regprocedure

-- name: other_place
select jobhooks.other_place(:configured::text::json)

-- name: record_place
select jobhooks.record_place(:leader, :configured::text::json)

-- name: places
-- The recorded place, the one that a daemon was refused for, or else :configured, and whether they are one; the first two as text.
select
    jobhooks.place_text(cursor.place), jobhooks.place_text(coalesce(cursor.refused_place, :configured::text::json)),
    cursor.refused_place is null and jobhooks.is_same_place(cursor.place, :configured::text::json)
from jobhooks.cursor

-- name: check_place
-- Whether the cursor is about this very database, and why a daemon that is configured to connect to this place must not deliver here.
select
    (cursor.system_identifier, cursor.database_oid)
    = (control.system_identifier, (select oid from pg_database where datname = current_database())),
    jobhooks.other_place(:configured::text::json)
from jobhooks.cursor, pg_control_system() as control

-- name: adopt
select jobhooks.adopt()

-- name: adopt_moved
select jobhooks.adopt_moved()

-- name: transaction_ids_survived
select jobhooks.transaction_ids_survived()

-- name: owed_deliveries
select hook, unread, complete, waiting, dead from jobhooks.owed_deliveries()

-- name: count_moved_transactions
select count(*) from (select distinct is_new, transaction_id from jobhooks.moved_transactions()) as moved

-- name: use_up_transaction_ids
do $$ begin for number in 1..1000 loop perform pg_current_xact_id(); commit; end loop; end $$

-- name: problems_of_publications
select severity, subject, problem, remedy from jobhooks.problems_of_publications()

-- name: problems
select severity, subject, problem, remedy from jobhooks.problems(:retention)
