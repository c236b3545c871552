-- Who may do what. Applied after the functions, at every installation.
--
-- Two roles, which belong to the whole cluster: they may be there already, or be created by another database's
-- installation at this moment. An installer who may not create roles goes without, and gives up what they are for.

-- jobhooks_receiver: its members' writes may carry a receiver's mark. Without it the members of the schema's owner may.
do $$
begin
    if to_regrole('jobhooks_receiver') is null then
        create role jobhooks_receiver nologin;
    end if;
exception when duplicate_object or unique_violation or insufficient_privilege then null;
end
$$;

do $$
begin
    if to_regrole('jobhooks_receiver') is not null and not pg_has_role(current_user, 'jobhooks_receiver', 'member') then
        execute format('grant jobhooks_receiver to %I', current_user);
    end if;
exception when insufficient_privilege then null;
end
$$;

-- jobhooks_capture: owns the capture function and can do nothing but write to the log. The json of a row may run code of
-- the table's owner; without this role that code has the rights of whoever installed jobhooks.
do $$
begin
    if to_regrole('jobhooks_capture') is null then
        create role jobhooks_capture nologin;
    end if;
exception when duplicate_object or unique_violation or insufficient_privilege then null;
end
$$;

-- An application needs no privilege here: the capture function runs as its owner.
revoke all on schema jobhooks from public;
revoke all on all tables in schema jobhooks from public;
revoke all on all sequences in schema jobhooks from public;
revoke all on all functions in schema jobhooks from public;

do $$
declare
    owner name;
begin
    -- Whoever installs, and whoever owns the schema and may install again. From PostgreSQL 16 on, who made a role may
    -- grant it, but only its members with the SET option may give it things.
    foreach owner in array array(
        select current_user union select nspowner::regrole::name from pg_namespace where nspname = 'jobhooks'
    ) loop
        execute format('grant jobhooks_capture to %I', owner);
    end loop;
exception when undefined_object or insufficient_privilege then null;
end
$$;

do $$
begin
    if to_regrole('jobhooks_capture') is not null then
        grant usage, create on schema jobhooks to jobhooks_capture;
        grant insert on jobhooks.object_change to jobhooks_capture;
        grant usage on sequence jobhooks.object_change_id_seq to jobhooks_capture;
        grant execute on function jobhooks.may_mark(), jobhooks.object_key(record, text []) to jobhooks_capture;
        alter function jobhooks.capture_change() owner to jobhooks_capture;
        revoke create on schema jobhooks from jobhooks_capture;
        -- Whoever watches a table makes triggers of it: those to whom the role was granted above.
        grant execute on function jobhooks.capture_change() to jobhooks_capture;
    end if;
exception when insufficient_privilege then null;
end
$$;
