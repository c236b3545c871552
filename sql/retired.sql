-- Functions that an earlier version had. Applied before the functions, at every installation.
--
-- An installation keeps them, and the next one drops them: until the commit, sessions run the earlier version's functions,
-- which call them. A function that triggers of watched tables still name stays until these tables have been watched again:
-- until then their writers need it, and may execute it (see grants.sql). "departed" names a segment of the log, and is not
-- created again for the next one; it looks into any other segment by the number in its argument.
do $$
declare
    retired record;
begin
    for retired in
        select to_regprocedure(names.former) as former
        from (
            values
            ('jobhooks_capture.shaped_snapshot(record, text, text [], json)',
                'jobhooks_capture.shaped_snapshot(record, text, text [], json, oid, text)'),
            ('jobhooks_capture.never_called()', 'jobhooks_capture.trigger_stub()'),
            ('jobhooks_capture.departed(text)', 'jobhooks_capture.moved_row_position(text)'),
            ('jobhooks_capture.legible(text)', 'jobhooks_capture.printable_bytes(text)'),
            ('jobhooks_capture.check_call(integer)', 'jobhooks_capture.check_call(integer, jobhooks.action)'),
            ('jobhooks.settle_rest(json)', 'jobhooks.record_failures(json)'),
            ('jobhooks.park_again(json)', 'jobhooks.requeue(json)'),
            ('jobhooks.unblock(json)', 'jobhooks.save_positions(bigint, json, json)'),
            ('jobhooks.release_followers(json)', 'jobhooks.save_positions(bigint, json, json)'),
            ('jobhooks.load_suspects(bigint, boolean)', 'jobhooks.load_suspects(bigint, text [])'),
            ('jobhooks.take_the_lead()', 'jobhooks.acquire_leadership()'),
            ('jobhooks.pending_deliveries(integer [], bigint)', 'jobhooks.delivery_states(integer [], bigint)'),
            ('jobhooks.depose_silent_leader(double precision)', 'jobhooks.end_silent_leader(double precision)')
        ) as names (former, current)
        where to_regprocedure(names.former) is not null and to_regprocedure(names.current) is not null
    loop
        begin
            execute format('drop function %s', retired.former);
        exception when dependent_objects_still_exist then null;
        end;
    end loop;
end
$$;
