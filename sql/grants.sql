-- Who owns what, and who may do what. Applied after functions and views, at every installation.
--
-- The roles belong to the whole cluster: they may be there already, or be created by another database's installation at
-- this moment. An installer who may not create roles goes without: then everything belongs to the installing role, and
-- jobhooks doctor says what that gives up.
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

-- An application needs no privilege here: what its statements call is bound to its tables' triggers.
revoke all on schema jobhooks, jobhooks_capture from public;
revoke all on all tables in schema jobhooks, jobhooks_capture from public;
revoke all on all sequences in schema jobhooks from public;
revoke all on all functions in schema jobhooks, jobhooks_capture from public;
grant execute on function
    jobhooks_capture.snapshot(record, text),
    jobhooks_capture.shaped_snapshot(record, text, text [], json, oid, text),
    jobhooks_capture.differs(record, record, json),
    jobhooks_capture.record_change(integer, jobhooks.action, json, json),
    jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text),
    jobhooks_capture.departed(text),
    jobhooks_capture.never_called()
to public;

-- What an earlier version's triggers call stays as long as there are any, which is until their tables are watched again.
do $$
begin
    drop function if exists jobhooks_capture.shaped_snapshot(record, text, text [], json);
exception when dependent_objects_still_exist then
    grant execute on function jobhooks_capture.shaped_snapshot(record, text, text [], json) to public;
end
$$;

select jobhooks.prepare_segment(number) from jobhooks.log_segment;
select jobhooks.use_segment(max(number)) from jobhooks.log_segment;

-- jobhooks_owner owns all of it, but for what jobhooks_capture owns: the functions that write changes to the log for
-- whoever writes to a watched table, and that can do nothing else.
do $$
declare
    installer name;
    statement text;
begin
    if to_regrole('jobhooks_owner') is null or to_regrole('jobhooks_capture') is null then
        return;
    end if;
    -- Whoever installs, and whoever installed before and may again. From PostgreSQL 16 on, who made a role may grant it,
    -- but only its members with the SET option may give it things.
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

    grant usage on schema jobhooks to jobhooks_capture;
    grant usage, create on schema jobhooks_capture to jobhooks_capture;
    grant create on schema jobhooks to jobhooks_capture;
    alter function jobhooks_capture.record_change(integer, jobhooks.action, json, json) owner to jobhooks_capture;
    alter function jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text) owner to jobhooks_capture;
    alter function jobhooks_capture.departed(text) owner to jobhooks_capture;
    alter function jobhooks_capture.record_truncate() owner to jobhooks_capture;
    alter function jobhooks.capture_change() owner to jobhooks_capture;
    revoke create on schema jobhooks, jobhooks_capture from jobhooks_capture;
    grant insert, select on jobhooks.object_change to jobhooks_capture;
    revoke update (action, postchange, context) on jobhooks.object_change from jobhooks_capture;
    grant usage on sequence jobhooks.object_change_id_seq to jobhooks_capture;
    grant select on jobhooks.content_type to jobhooks_capture;
    grant select, insert, update, delete on jobhooks_capture.truncation to jobhooks_capture;
    grant execute on function jobhooks.may_mark(), jobhooks_capture.change_context(integer, json, json), jobhooks_capture.wake(),
        jobhooks_capture.record_ending(integer, jobhooks.action, json, text), jobhooks_capture.legible(text),
        jobhooks.columns_of(json, text []) to jobhooks_capture;
exception when insufficient_privilege then
    raise warning 'everything belongs to %: %', current_user, sqlerrm;
end
$$;

-- jobhooks_viewer reads; jobhooks_operator decides about hooks, jobs and deliveries, too; jobhooks_daemon reads the log and
-- keeps the books; jobhooks_receiver is for the sessions in which receivers write, whose writes may carry a mark.
do $$
begin
    if to_regrole('jobhooks_viewer') is null or to_regrole('jobhooks_operator') is null
        or to_regrole('jobhooks_daemon') is null or to_regrole('jobhooks_receiver') is null then
        return;
    end if;
    grant usage on schema jobhooks to jobhooks_viewer, jobhooks_operator, jobhooks_daemon, jobhooks_receiver;
    grant select on all tables in schema jobhooks to jobhooks_viewer, jobhooks_operator, jobhooks_daemon;
    grant select on sequence jobhooks.object_change_id_seq to jobhooks_viewer, jobhooks_operator, jobhooks_daemon;
    grant execute on function
        jobhooks.table_name(regclass), jobhooks.difference(json, json, text []), jobhooks.columns_of(json, text []),
        jobhooks.may_mark()
    to jobhooks_viewer, jobhooks_operator, jobhooks_daemon, jobhooks_receiver;
    grant execute on function jobhooks.previous_change(bigint, integer) to jobhooks_receiver;

    grant execute on function
        jobhooks.problems(interval, bigint), jobhooks.problems_of_tables(), jobhooks.problems_of_keys(), jobhooks.problems_of_columns(),
        jobhooks.problems_of_triggers(), jobhooks.problems_of_partitions(), jobhooks.problems_of_hooks(),
        jobhooks.problems_of_conditions(), jobhooks.problems_of_deliveries(), jobhooks.problems_of_log(interval, bigint),
        jobhooks.problems_of_marks(), jobhooks.problems_of_roles(), jobhooks.problems_of_server(), jobhooks.live_triggers(), jobhooks.without_table(text),
        jobhooks.watch_command(integer), jobhooks.primary_key(regclass), jobhooks.watched_relations(regclass),
        jobhooks.trigger_statements(integer), jobhooks.snapshot_expression(regclass, text, text [], text []),
        jobhooks.depends_on_formats(regclass), jobhooks.depends_on_time_zone(regclass, text []),
        jobhooks.conflicts_of_hooks(integer), jobhooks.unknown_columns(integer),
        jobhooks.settings_of_jobs(), jobhooks.settings_of_job(jobhooks.job, jsonb), jobhooks.refusal_of_setting(text, jsonb),
        jobhooks.configuration_of_hook(integer)
    to jobhooks_viewer, jobhooks_operator, jobhooks_daemon;

    grant insert, update, delete on jobhooks.job_hook, jobhooks.job_hook_content_type to jobhooks_operator;
    grant update, delete on jobhooks.delivery to jobhooks_operator;
    grant update (enabled, overrides) on jobhooks.job to jobhooks_operator;
    grant execute on function
        jobhooks.add_hook(
            text, text [], text [], text, text, text [], text, double precision, boolean, integer
        ),
        jobhooks.save_hook(text, jsonb), jobhooks.edit_hook(text, jsonb), jobhooks.enable_hook(text, boolean), jobhooks.delete_hook(text),
        jobhooks.actions_called(text, text []), jobhooks.content_types_called(text, text []),
        jobhooks.enable_job(text, boolean), jobhooks.set_job(text, jsonb), jobhooks.reset_job(text, text []),
        jobhooks.retry_deliveries(bigint [], integer []), jobhooks.discard_deliveries(bigint [], integer [], text),
        jobhooks.park_again(json)
    to jobhooks_operator;

    grant insert, update on jobhooks.job to jobhooks_daemon;
    grant insert, update on jobhooks.condition_failure to jobhooks_daemon;
    grant update on jobhooks.cursor to jobhooks_daemon;
    grant insert, update, delete on jobhooks.delivery to jobhooks_daemon;
    grant execute on function
        jobhooks.register_jobs(json, boolean), jobhooks.maintain_log(interval, bigint), jobhooks.configuration_version(),
        jobhooks.drop_old_results(interval, bigint), jobhooks.drop_old_history(interval),
        jobhooks.wait_for_lock(integer, double precision),
        jobhooks.take_the_lead(), jobhooks.depose_silent_leader(double precision), jobhooks.settle_rest(json),
        jobhooks.unblock(json), jobhooks.note_condition_failures(json), jobhooks.settle(
            bigint, bigint [], integer [], integer [], integer [], double precision [], double precision [], json
        )
    to jobhooks_daemon;
    grant delete on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_daemon;

    grant select on jobhooks.job_hook to jobhooks_receiver;
    grant select, insert on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_daemon, jobhooks_receiver;
    grant execute on function jobhooks.record_result(
        bigint, integer, integer, integer, text, double precision, double precision, text, json, json
    ), jobhooks.record_results(
        bigint [], integer, integer, integer [], text, double precision, double precision, text, json, json
    ), jobhooks.record_successes(
        bigint [], integer, integer, integer [], double precision [], double precision []
    ) to jobhooks_daemon, jobhooks_receiver;
exception when insufficient_privilege then
    raise warning 'the roles of jobhooks got no privileges: %', sqlerrm;
end
$$;
