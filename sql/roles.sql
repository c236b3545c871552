-- The roles of jobhooks. Applied first, at every installation.
--
-- Roles belong to the whole cluster: they may exist already, or another database's installation may create them at this
-- moment. An installer that may not create roles goes on without them: everything then belongs to the installing role, and
-- jobhooks doctor reports the consequence.
do $$
declare
    role name;
begin
    foreach role in array array[
        'jobhooks_owner', 'jobhooks_capture', 'jobhooks_daemon', 'jobhooks_receiver', 'jobhooks_viewer', 'jobhooks_operator'
    ]::name [] loop
        begin
            if to_regrole(role::text) is null then
                execute format('create role %I nologin', role);
            end if;
        exception when duplicate_object or unique_violation or insufficient_privilege then null;
        end;
    end loop;
end
$$;
