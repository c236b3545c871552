-- jobhooks_capture.record_ending(content_type_id, action, before, partition): record_change for a change to be found again,
-- or with more context: a row that leaves a partition, a truncate of one partition. Returns its place in the log.
--
-- That is the segment of the log, which use_segment fills in, and the place in it: 'object_change_1 (0,5)'.
create or replace function jobhooks_capture.record_ending(
    content_type_id integer, action jobhooks.action, before json, partition text
)
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    context json := jobhooks_capture.change_context(content_type_id, before, null);
    suppressed constant boolean := context -> 'caused_by' is not null or context -> 'muted' is not null;
    place tid;
begin
    if context -> 'snapshot_error' is not null then
        before := null;
    end if;
    if partition is not null then
        context := (coalesce(context::jsonb, '{}') || jsonb_build_object('partition', partition))::json;
    end if;
    insert into jobhooks.object_change_1 (content_type_id, action, triggering, context, prechange)
    values (content_type_id, action, not suppressed, context, before)
    returning ctid into place;
    if not suppressed and not pg_try_advisory_xact_lock_shared(1785684584, 2) then
        perform jobhooks_capture.wake();
    end if;
    return split_part('jobhooks.object_change_1', '.', 2) || ' ' || place;
end
$$;

comment on function jobhooks_capture.record_ending(integer, jobhooks.action, json, text) is
'Write a row that leaves a partition, or a truncate of one partition, to the log; returns where';
