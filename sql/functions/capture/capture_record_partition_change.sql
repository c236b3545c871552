-- jobhooks_capture.record_partition_change(content_type_id, action, before, after, version): record_change for the two halves
-- of a row that moves to another partition, which is one update.
--
-- PostgreSQL moves a row with a delete here and an insert there, in one step. A trigger before each update notes the version
-- that is about to be updated. If exactly that version is deleted, the row moves: its delete is recorded like any other, and
-- its place is noted. The insert that follows turns it into an update. Statements of the user's triggers in between run at a
-- greater trigger depth, which separates their notes. The notes are also deleted at the statement's end, in case a user's
-- trigger cancels the update or the insert.
--
-- version: for the leaving row its version, as tableoid and ctid; for the arriving row the place of its delete in the log, as
-- jobhooks_capture.moved_row_position returns it: one of the running statement, even if an application changed the notes. Any
-- other value is no move: triggers of an earlier version, which jobhooks install replaces, pass the version that arrives.
create or replace function jobhooks_capture.record_partition_change(
    content_type_id integer, action jobhooks.action, before json, after json, version text
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_indexscan = off
set enable_bitmapscan = off
set enable_tidscan = on
set jit = off -- these settings raise the estimated costs above jit_above_cost
as $$
declare
    depth constant text := pg_trigger_depth()::text;
    segment integer;
    is_update boolean := false;
begin
    if jobhooks_capture.may_be_called() and jobhooks_capture.check_call(content_type_id, action) then
        return false;
    end if;
    if action = 'delete' then
        perform
            set_config('jobhooks.departed_' || depth, jobhooks_capture.record_ending(content_type_id, action, before, null), true),
            set_config('jobhooks.updating_' || depth, '', true);
        return false;
    end if;
    perform set_config('jobhooks.departed_' || depth, '', true);
    segment := substring(version from '^object_change_([0-9]{1,9}) ')::integer;
    if json_typeof(after) = 'object' and pg_column_size(after) <= 500000000 then
        if segment = substring('jobhooks.object_change_1' from '[0-9]+$')::integer then
            update only jobhooks.object_change_1 as change
            set action = 'update', postchange = record_partition_change.after
            where change.ctid = split_part(version, ' ', 2)::tid
                and change.transaction_id = pg_current_xact_id()
                and change.content_type_id = record_partition_change.content_type_id
                and change.action = 'delete'
                and change.prechange is not null;
            is_update := found;
        elsif segment is not null then
            -- A segment was begun in between.
            execute format(
                $update$update only jobhooks.object_change_%s set action = 'update', postchange = $1
                where ctid = $2 and transaction_id = pg_current_xact_id() and content_type_id = $3
                and action = 'delete' and prechange is not null returning true$update$, segment)
            into is_update
            using after, split_part(version, ' ', 2)::tid, content_type_id;
        end if;
    end if;
    return is_update is not true and jobhooks_capture.record_change(content_type_id, action, before, after);
end
$$;

comment on function jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text) is
'Write the two halves of a row that moves to another partition to the log, as one update';
