-- jobhooks_capture.record_change(content_type_id, action, before, after): write a row change to the log.
--
-- Called in the WHEN of a row trigger, and so at the very moment at which the row has been written: before the next row of
-- the statement, and before any trigger of the user's. That is what makes the order of ids the order of what happened. It
-- returns false, so that the trigger itself never fires. It runs inside the application's own statement, so: it looks
-- nothing up, takes no lock that another writer waits for, and does not fail where the statement would have succeeded.
-- It never evaluates anything of the user's. Over 500 MB of json are not kept: two of them must fit into one row, of 1 GB.
-- Security definer: its owner may write to the log, and no application may. Without a "set" clause, which would cost as
-- much as the insert, every name and operator is qualified instead. The log's segment is put in by use_segment.
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
    if greatest(
            pg_catalog.current_setting('jobhooks.user_name', true) collate pg_catalog."C",
            pg_catalog.current_setting('jobhooks.request_id', true),
            pg_catalog.current_setting('jobhooks.delivery', true), pg_catalog.current_setting('jobhooks.triggering', true)
        ) operator(pg_catalog.<>) ''
        or pg_catalog.starts_with(before::pg_catalog.text, '[') or pg_catalog.starts_with(after::pg_catalog.text, '[')
        or pg_catalog.octet_length(before::pg_catalog.text) operator(pg_catalog.>) 500000000
        or pg_catalog.octet_length(after::pg_catalog.text) operator(pg_catalog.>) 500000000
    then
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

    -- Wake the daemon, but only one that sleeps, since a NOTIFY makes commits wait for one another. A daemon that sleeps
    -- holds this lock exclusively (1785684584 is 'jobh', 2 is "wake me"). Whoever gets it shared sends no NOTIFY and
    -- holds it to the end of the transaction: so once a daemon has it, nobody is left who has sent none and may still
    -- commit. Each further row of the transaction finds the lock in the session's own table.
    return suppressed is not true and not pg_catalog.pg_try_advisory_xact_lock_shared(1785684584, 2) and jobhooks_capture.wake();
end
$$;

comment on function jobhooks_capture.record_change(integer, jobhooks.action, json, json) is
'Write a row change to the log: called by the triggers of watched tables';
