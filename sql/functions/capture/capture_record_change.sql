-- jobhooks_capture.record_change(content_type_id, action, before, after): write a row change to the log.
--
-- Called in the WHEN of a row trigger, at the moment the row has been written: before the next row of the statement, and
-- before any trigger of the user's. So the order of ids is the order of events. It returns false, so the trigger itself
-- never fires. It runs inside the application's statement, so it looks nothing up, takes no lock that another writer waits
-- for, and does not fail where the statement would have succeeded. It never evaluates user code. Over 500 MB of json are
-- not kept: two of them must fit into one row of 1 GB. Security definer: its owner may write to the log, and no
-- application may. A "set" clause would cost the same again as the insert, so every name and operator is qualified
-- instead. use_segment fills in the log's segment.
create or replace function jobhooks_capture.record_change(
    content_type_id integer, action jobhooks.action, before json, after json
)
returns boolean
language plpgsql
security definer
as $$
declare
    context pg_catalog.json;
    suppressed boolean;
begin
    -- Few expressions, since each is some hundred instructions before it begins.
    -- may_be_called is a constant in the plan. It is usually false, and then the check is not in the plan.
    if jobhooks_capture.may_be_called() and (
            jobhooks_capture.session_may_call() or coalesce(case action
                when 'create' then pg_catalog.pg_stat_get_xact_tuples_inserted((jobhooks_capture.relations())[content_type_id])
                when 'update' then pg_catalog.pg_stat_get_xact_tuples_updated((jobhooks_capture.relations())[content_type_id])
                when 'delete' then pg_catalog.pg_stat_get_xact_tuples_deleted((jobhooks_capture.relations())[content_type_id])
            end, 0) operator(pg_catalog.=) 0
        ) and jobhooks_capture.check_call(content_type_id, action)
        or greatest(
            pg_catalog.current_setting('jobhooks.user_name', true) collate pg_catalog."C",
            pg_catalog.current_setting('jobhooks.request_id', true),
            pg_catalog.current_setting('jobhooks.delivery', true), pg_catalog.current_setting('jobhooks.triggering', true)
        ) operator(pg_catalog.<>) ''
        -- Neither copies the json, as its conversion to text would.
        or pg_catalog.json_typeof(before) operator(pg_catalog.=) 'array'
        or pg_catalog.json_typeof(after) operator(pg_catalog.=) 'array'
        or pg_catalog.pg_column_size(before) operator(pg_catalog.>) 500000000
        or pg_catalog.pg_column_size(after) operator(pg_catalog.>) 500000000
        or jobhooks_capture.may_be_restoring() -- as above
    then
        if jobhooks_capture.may_be_restoring() then
            if jobhooks_capture.skips_restored_row() then
                return false;
            end if;
        end if;
        context := jobhooks_capture.change_context(content_type_id, before, after);
        if (context operator(pg_catalog.->) 'snapshot_error') is not null then
            before := null;
            after := null;
        end if;
        suppressed := (context operator(pg_catalog.->) 'caused_by') is not null
            or (context operator(pg_catalog.->) 'muted') is not null;
    end if;

    insert into jobhooks.object_change_1 (content_type_id, action, triggering, context, prechange, postchange)
    values (content_type_id, action, suppressed is not true, context, before, after);

    -- Wake the daemon, but only a sleeping one, because a NOTIFY makes commits wait for one another. A sleeping daemon holds
    -- this lock exclusively (1785684584 is 'jobh', 2 is "wake me"). A writer that gets it shared sends no NOTIFY and holds it
    -- to the end of its transaction. So once a daemon has the lock, every transaction without a NOTIFY has ended. Each further
    -- row of the transaction finds the lock in the session's local table.
    return suppressed is not true and not pg_catalog.pg_try_advisory_xact_lock_shared(1785684584, 2) and jobhooks_capture.wake();
end
$$;

comment on function jobhooks_capture.record_change(integer, jobhooks.action, json, json) is
'Write a row change to the log: called by the triggers of watched tables';
