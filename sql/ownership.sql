-- Ownership. Applied after functions and views, at every installation.
--
-- jobhooks_owner owns everything except the functions that write changes to the log for the writers of watched tables. These
-- belong to jobhooks_capture, which can do nothing else.
do $$
declare
    installer name;
    statement text;
begin
    if to_regrole('jobhooks_owner') is null or to_regrole('jobhooks_capture') is null then
        return;
    end if;
    -- The installing role and the one that installed before, which may install again. From PostgreSQL 16 on, the creator of a
    -- role may grant it, but only members with the SET option may give objects to it.
    foreach installer in array array(
        select current_user union select nspowner::regrole::name from pg_namespace where nspname = 'jobhooks'
    ) loop
        if installer <> 'jobhooks_owner' and not (select rolsuper from pg_roles where rolname = installer) then
            execute format('grant jobhooks_owner, jobhooks_receiver to %I', installer);
        end if;
    end loop;
    grant jobhooks_capture to jobhooks_owner;
    execute format('grant create on database %I to jobhooks_owner', current_database());
    alter schema jobhooks owner to jobhooks_owner;
    alter schema jobhooks_capture owner to jobhooks_owner;
    for statement in
        select format('alter %s %s owner to jobhooks_owner', case relkind when 'v' then 'view' when 'S' then 'sequence' else 'table' end, oid::regclass)
        from pg_class
        where relnamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace)
            and relkind in ('r', 'v', 'S')
            and relowner <> 'jobhooks_owner'::regrole
            -- A sequence that belongs to a column goes with its table.
            and not exists (select from pg_depend where objid = pg_class.oid and deptype in ('a', 'i') and refobjsubid > 0)
        union all
        select format('alter function %s owner to jobhooks_owner', oid::regprocedure)
        from pg_proc
        where pronamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace)
            and proowner not in ('jobhooks_owner'::regrole, 'jobhooks_capture'::regrole)
        union all
        select format('alter type %s owner to jobhooks_owner', oid::regtype)
        from pg_type
        where typnamespace = 'jobhooks'::regnamespace and typtype = 'e' and typowner <> 'jobhooks_owner'::regrole
    loop
        execute statement;
    end loop;

    -- An owner needs the privilege "create" at the moment of the transfer only.
    grant create on schema jobhooks, jobhooks_capture to jobhooks_capture;
    alter function jobhooks_capture.record_change(integer, jobhooks.action, json, json) owner to jobhooks_capture;
    alter function jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text) owner to jobhooks_capture;
    alter function jobhooks_capture.moved_row_position(text) owner to jobhooks_capture;
    alter function jobhooks_capture.record_truncate() owner to jobhooks_capture;
    alter function jobhooks_capture.keep_lastval(numeric, boolean) owner to jobhooks_capture;
    alter function jobhooks_capture.set_lastval(bigint, boolean) owner to jobhooks_capture;
    alter function jobhooks.capture_change() owner to jobhooks_capture;
    revoke create on schema jobhooks, jobhooks_capture from jobhooks_capture;
exception when insufficient_privilege then
    raise warning 'everything belongs to %: %', current_user, sqlerrm;
end
$$;
