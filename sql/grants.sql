-- Privileges: grants and revokes only. Applied after ownership.sql, at every installation.

-- An application needs no privilege here: the functions that its statements call are bound to the triggers of its tables.
revoke all on schema jobhooks, jobhooks_capture from public;
revoke all on all tables in schema jobhooks, jobhooks_capture from public;
revoke all on all sequences in schema jobhooks, jobhooks_capture from public;
revoke all on all functions in schema jobhooks, jobhooks_capture from public;
grant execute on function
    jobhooks_capture.snapshot(record, text),
    jobhooks_capture.shaped_snapshot(record, text, text [], json, oid, text),
    jobhooks_capture.differs(record, record, json),
    jobhooks_capture.record_change(integer, jobhooks.action, json, json),
    jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text),
    jobhooks_capture.moved_row_position(text),
    jobhooks_capture.former_lastval(), jobhooks_capture.note_lastval(numeric), jobhooks_capture.keep_lastval(numeric, boolean),
    jobhooks_capture.lastval_to_keep(oid, text), jobhooks_capture.set_lastval(bigint, boolean),
    jobhooks_capture.trigger_stub()
to public;

-- Functions for triggers of an earlier version, until their tables are watched again: see retired.sql.
do $$
declare
    retired regprocedure;
begin
    for retired in
        select oid::regprocedure from pg_proc
        where oid in (
            to_regprocedure('jobhooks_capture.never_called()'), to_regprocedure('jobhooks_capture.departed(text)'),
            to_regprocedure('jobhooks_capture.shaped_snapshot(record, text, text [], json)')
        )
    loop
        execute format('grant execute on function %s to public', retired);
    end loop;
end
$$;

-- jobhooks_capture can append to the log, and complete the change of a row that moves to another partition. Without this role
-- (see ownership.sql) the capture functions run with the rights of the installing role.
do $$
begin
    if (
        select proowner from pg_proc
        where oid = 'jobhooks_capture.record_change(integer, jobhooks.action, json, json)'::regprocedure
    ) is distinct from to_regrole('jobhooks_capture') then
        return;
    end if;
    grant usage on schema jobhooks, jobhooks_capture to jobhooks_capture;
    grant insert, select on jobhooks.object_change to jobhooks_capture;
    revoke update (action, postchange, context) on jobhooks.object_change from jobhooks_capture;
    grant usage, update on sequence jobhooks.object_change_id_seq, jobhooks_capture.kept_lastval to jobhooks_capture;
    grant select on jobhooks.content_type, jobhooks.cursor, jobhooks.installation to jobhooks_capture;
    grant select, insert, update, delete on jobhooks_capture.truncation to jobhooks_capture;
    grant execute on function jobhooks.may_mark(), jobhooks_capture.change_context(integer, json, json), jobhooks_capture.wake(),
        jobhooks_capture.record_ending(integer, jobhooks.action, json, text), jobhooks_capture.printable_bytes(text),
        jobhooks_capture.noted_lastval(), jobhooks_capture.session_may_call(), jobhooks_capture.may_be_called(),
        jobhooks_capture.callers(), jobhooks_capture.relations(), jobhooks_capture.check_call(integer, jobhooks.action),
        jobhooks_capture.may_be_restoring(), jobhooks_capture.installed_in(), jobhooks_capture.skips_restored_row(), jobhooks.is_restoring(),
        jobhooks.greatest_change_id(), jobhooks.advance_sequence(),
        jobhooks.columns_of(json, text []) to jobhooks_capture;
end
$$;

-- So that lastval() can be read after a row that left it as it was: in the session that set it.
grant usage on sequence jobhooks_capture.kept_lastval to public;

-- jobhooks_viewer reads. jobhooks_operator also changes hooks, jobs and deliveries. jobhooks_daemon reads the log and records
-- results and the backlog. jobhooks_receiver is for the sessions of receivers: their writes may carry a mark.
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
        jobhooks.may_mark(), jobhooks.depth_of(boolean, json)
    to jobhooks_viewer, jobhooks_operator, jobhooks_daemon, jobhooks_receiver;
    grant execute on function jobhooks.previous_change(bigint, integer) to jobhooks_receiver;
    grant execute on function jobhooks.columns_of_key(oid, smallint []) to jobhooks_receiver;
    grant execute on function jobhooks.changes_of_object(bigint, boolean, integer, integer) to jobhooks_receiver;

    grant execute on function
        jobhooks.problems(interval, bigint), jobhooks.problems_of_tables(), jobhooks.problems_of_keys(), jobhooks.problems_of_columns(), jobhooks.problems_of_wide_rows(), jobhooks.problems_of_casts(), jobhooks.casts_of_columns(regclass, text []),
        jobhooks.problems_of_triggers(), jobhooks.problems_of_capture(), jobhooks.problems_of_partitions(), jobhooks.problems_of_hooks(), jobhooks.problems_of_receivers(), jobhooks.has_loaded(),
        jobhooks.problems_of_conditions(), jobhooks.problems_of_deliveries(), jobhooks.problems_of_log(interval, bigint),
        jobhooks.problems_of_marks(), jobhooks.problems_of_roles(), jobhooks.problems_of_server(), jobhooks.problems_of_publications(), jobhooks.live_triggers(), jobhooks.without_table(text),
        jobhooks.problems_of_parents(), jobhooks.flaw_of_parent(integer, integer, text []), jobhooks.parents_of(integer), jobhooks.children_of_hook(integer),
        jobhooks.watch_command(integer), jobhooks.primary_key(regclass), jobhooks.watched_relations(regclass), jobhooks.restored_triggers(), jobhooks.is_restoring(),
        jobhooks.trigger_statements(integer), jobhooks.is_filled_by_sequence(regclass), jobhooks.snapshot_expression(regclass, text, text [], text []),
        jobhooks.secret_columns(regclass), jobhooks.exclude_command(integer, text []), jobhooks.depends_on_formats(regclass), jobhooks.depends_on_names(regclass), jobhooks.depends_on_time_zone(regclass, text []), jobhooks.types_of_columns(regclass, text []),
        jobhooks.conflicts_of_hooks(integer), jobhooks.unknown_columns(integer), jobhooks.unknown_roles(integer),
        jobhooks.problems_of_data(), jobhooks.problems_of_chains(),
        jobhooks.unknown_ordering(integer), jobhooks.unknown_rate_keys(integer), jobhooks.rate_waits(integer), jobhooks.recorded_columns(integer), jobhooks.logged_columns(text []), jobhooks.problems_of_names_in_hooks(),
        jobhooks.delivery_states(integer [], bigint), jobhooks.held_up_deliveries(bigint), jobhooks.lagging_hooks(integer), jobhooks.problems_of_positions(),
        jobhooks.problems_of_crashes(), jobhooks.problems_of_leader(interval), jobhooks.leader_session(), jobhooks.wake_lock_squatters(),
        jobhooks.settings_of_jobs(), jobhooks.settings_of_job(jobhooks.job, jsonb), jobhooks.version_text(bigint), jobhooks.refusal_of_setting(text, jsonb),
        jobhooks.configuration_of_hook(integer), jobhooks.deleted_name(text, integer),
        jobhooks.is_same_place(json, json), jobhooks.place_text(json), jobhooks.greatest_change_id()
    to jobhooks_viewer, jobhooks_operator, jobhooks_daemon;

    grant insert, update, delete on jobhooks.job_hook, jobhooks.job_hook_content_type to jobhooks_operator;
    grant delete on jobhooks.job to jobhooks_operator;
    grant update, delete on jobhooks.delivery to jobhooks_operator;
    grant update (enabled, overrides) on jobhooks.job to jobhooks_operator;
    grant execute on function
        jobhooks.add_hook(
            text, text [], text [], text, text, text [], text, double precision, boolean, integer
        ),
        jobhooks.save_hook(text, jsonb), jobhooks.note_condition_verdicts(json), jobhooks.note_data_verdicts(json), jobhooks.edit_hook(text, jsonb), jobhooks.enable_hook(text, boolean), jobhooks.pause_hook(text, boolean),
        jobhooks.delete_hook(text), jobhooks.refuse_unknown_hook(text), jobhooks.refuse_unknown_job(text),
        jobhooks.actions_called(text, text []), jobhooks.content_types_called(text, text []),
        jobhooks.relation_called(text), jobhooks.names_of_tables(), jobhooks.did_you_mean(text, text []), jobhooks.unknown_in_words(text [], text []),
        jobhooks.nearest_names(text, text []), jobhooks.similarity(text, text),
        jobhooks.enable_job(text, boolean), jobhooks.set_job(text, jsonb), jobhooks.reset_job(text, text []), jobhooks.delete_job(text),
        jobhooks.retry_deliveries(bigint [], integer []), jobhooks.discard_deliveries(bigint [], integer [], text),
        jobhooks.cancel_deliveries(bigint [], integer [], text), jobhooks.requeue(json)
    to jobhooks_operator;

    grant insert, update on jobhooks.job to jobhooks_daemon;
    grant insert, update, delete on jobhooks.receiver_load, jobhooks.loaded_receiver, jobhooks.broken_module to jobhooks_daemon;
    grant insert, update on jobhooks.receiver_version to jobhooks_daemon;
    grant insert, update on jobhooks.condition_failure, jobhooks.chain_end to jobhooks_daemon;
    grant update on jobhooks.cursor to jobhooks_daemon;
    grant insert, update, delete on jobhooks.delivery, jobhooks.hook_position, jobhooks.rate_bucket, jobhooks.suspect, jobhooks.running_delivery, jobhooks.running_log_entry
    to jobhooks_daemon;
    grant execute on function
        jobhooks.register_jobs(json, boolean), jobhooks.add_jobs(json), jobhooks.record_receivers(bigint, json), jobhooks.maintain_log(interval, bigint), jobhooks.configuration_version(),
        jobhooks.drop_old_results(interval, bigint), jobhooks.drop_old_history(interval),
        jobhooks.wait_for_lock(integer, double precision), jobhooks.wait_for_leader(double precision),
        jobhooks.heartbeat(), jobhooks.acquire_leadership(), jobhooks.end_silent_leader(double precision), jobhooks.record_failures(json),
        jobhooks.other_place(json), jobhooks.record_place(bigint, json), jobhooks.begin_leadership(bigint, text), jobhooks.end_leadership(bigint), jobhooks.show_process(text), jobhooks.doubted_processes(bigint), jobhooks.load_suspects(bigint, text []), jobhooks.pause_loop(bigint, integer, text),
        jobhooks.mark_runs(bigint, json, json, boolean), jobhooks.blame_runs(json, text),
        jobhooks.note_runs(bigint, json, json, json), jobhooks.interrupt_runs(bigint), jobhooks.settle_cancelled_runs(bigint),
        jobhooks.keep_lines(bigint, integer, integer),
        jobhooks.save_positions(bigint, json, json), jobhooks.save_rates(bigint, json), jobhooks.note_condition_failures(json), jobhooks.note_chain_ends(json),
        jobhooks.note_condition_verdicts(json), jobhooks.note_data_verdicts(json), jobhooks.settle(
            bigint, bigint [], integer [], integer [], integer [], double precision [], double precision [], json, bigint []
        )
    to jobhooks_daemon;
    grant delete on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_daemon;

    grant select on jobhooks.job_hook to jobhooks_receiver;
    grant select on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_receiver;
    grant insert on jobhooks.job_result, jobhooks.job_log_entry to jobhooks_daemon;
    grant execute on function jobhooks.record_result(
        bigint, integer, integer, integer, text, double precision, double precision, text, json, json, bigint
    ), jobhooks.record_results(
        bigint [], integer, integer, integer [], text, double precision, double precision, text, json, json, bigint
    ), jobhooks.record_successes(
        bigint [], integer, integer, integer [], double precision [], double precision [], bigint
    ) to jobhooks_daemon;
    -- A result makes the daemon skip a change, so a role that only marks its writes writes none. Earlier versions granted these.
    revoke insert on jobhooks.job_result, jobhooks.job_log_entry from jobhooks_receiver;
    revoke execute on function jobhooks.record_result(
        bigint, integer, integer, integer, text, double precision, double precision, text, json, json, bigint
    ), jobhooks.record_results(
        bigint [], integer, integer, integer [], text, double precision, double precision, text, json, json, bigint
    ), jobhooks.record_successes(
        bigint [], integer, integer, integer [], double precision [], double precision [], bigint
    ) from jobhooks_receiver;
exception when insufficient_privilege then
    raise warning 'the roles of jobhooks got no privileges: %', sqlerrm;
end
$$;
