-- jobhooks_capture.change_context(before, after): what else there is to say about a change; null if nothing.
--
-- before, after: what snapshot returned, if that was an error. A mark, and the wish not to trigger, are honoured only from
-- those who may have them; the catalogue is asked only when there is one.
create or replace function jobhooks_capture.change_context(before json, after json)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    mark constant text := nullif(current_setting('jobhooks.delivery', true), '');
    muted constant boolean := lower(current_setting('jobhooks.triggering', true)) in ('off', 'false', 'no', '0');
    failed constant json := case when before::text like '[%' then before when after::text like '[%' then after end;
    -- The key of the row as it is now: the new one, where that could be had.
    key constant json := case when after::text like '[%' then after -> 1 else failed -> 1 end;
    cause text[];
    may_mark boolean := false;
    context json;
begin
    if mark is not null or muted then
        may_mark := jobhooks.may_mark();
        cause := regexp_match(mark, '^([0-9]{1,18}):([0-9]{1,9}):([0-9]{1,9})$');
    end if;
    context := json_strip_nulls(json_build_object(
        'user_name', nullif(current_setting('jobhooks.user_name', true), ''),
        'request_id', nullif(current_setting('jobhooks.request_id', true), ''),
        'caused_by', case when may_mark and cause is not null then json_build_object(
            'change', cause[1]::bigint, 'hook', cause[2]::integer, 'attempt', cause[3]::integer
        ) end,
        'muted', case when may_mark and muted then true end,
        'refused_mark', case
            when not may_mark and muted and mark is null then 'triggering = off'
            when not may_mark or cause is null then left(mark, 100)
        end,
        'snapshot_error', failed ->> 0,
        'object_key', key
    ));
    return nullif(context::text, '{}')::json;
end
$$;

comment on function jobhooks_capture.change_context(json, json) is
'What else there is to say about a change: who and why, its cause, an error; null if nothing';
