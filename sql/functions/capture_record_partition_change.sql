-- jobhooks_capture.record_partition_change(content_type_id, action, before, after, version): record_change, for a
-- partitioned table, where a row that moves to another partition is one update.
--
-- PostgreSQL moves a row by deleting it here and inserting it there, in one go. version: which version of which row was
-- deleted or inserted, as tableoid and ctid. A trigger that fires before each update notes the version that is about to
-- be updated. If just that version is deleted, it moves, since no version is ended twice: so the delete is recorded, as it
-- would be if nothing came after it, and the insert that follows makes an update of it. What is in between (triggers of
-- the user's, with statements of their own) runs at a greater trigger depth, by which the notes are kept apart. They are
-- forgotten at the next update, and at the statement's end, in case a trigger of the user's cancels the update or the insert.
create or replace function jobhooks_capture.record_partition_change(
    content_type_id integer, action jobhooks.action, before json, after json, version text
)
returns boolean
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    depth constant text := pg_trigger_depth();
    departed constant text := nullif(current_setting('jobhooks.departed_' || depth, true), '');
begin
    if action = 'create' and departed is not null then
        perform set_config('jobhooks.departed_' || depth, '', true), set_config('jobhooks.arrived_' || depth, version, true);
        update jobhooks.object_change as change
        set action = 'update', postchange = record_partition_change.after
        where change.id = departed::bigint
            and change.transaction_id = pg_current_xact_id()
            and change.content_type_id = record_partition_change.content_type_id
            and change.action = 'delete'
            and change.prechange is not null
            and left(record_partition_change.after::text, 1) = '{';
        if found then
            return false;
        end if;
    end if;
    perform jobhooks_capture.record_change(content_type_id, action, before, after);
    if action = 'delete' and version = current_setting('jobhooks.updating_' || depth, true) then
        perform set_config('jobhooks.departed_' || depth, currval('jobhooks.object_change_id_seq')::text, true);
    end if;
    return false;
end
$$;

comment on function jobhooks_capture.record_partition_change(integer, jobhooks.action, json, json, text) is
'Write a change of a partitioned table to the log; a row that moves to another partition is one update';
