-- jobhooks_capture.change_context(content_type_id, before, after): what else there is to say about a change; null if nothing.
--
-- before, after: what snapshot returned. A mark, and the wish not to trigger, are honoured only from
-- those who may have them; the catalogue is asked only when there is one.
create or replace function jobhooks_capture.change_context(content_type_id integer, before json, after json)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    mark constant text := nullif(current_setting('jobhooks.delivery', true), '');
    muted constant boolean := lower(current_setting('jobhooks.triggering', true)) in ('off', 'false', 'no', '0');
    failed constant json := case
        when left(before::text, 1) = '[' then before
        when left(after::text, 1) = '[' then after
        when greatest(octet_length(before::text), octet_length(after::text)) > 500000000
            then '["54000: the row has over 500 MB as json"]'
    end;
    now_or_last constant json := coalesce(after, before);
    key json; -- of the row as it is now
    cause text[];
    may_mark boolean := false;
    context json;
begin
    if mark is not null or muted then
        begin
            may_mark := jobhooks.may_mark();
        exception when undefined_object then
            may_mark := false; -- the session's role has been dropped
        end;
        cause := regexp_match(mark, '^([0-9]{1,18}):([0-9]{1,9}):([0-9]{1,9})$');
    end if;
    if failed is not null then
        key := case when left(now_or_last::text, 1) = '[' then now_or_last -> 1 else jobhooks.columns_of(
            now_or_last, (select key_columns from jobhooks.content_type where id = content_type_id)
        ) end;
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

comment on function jobhooks_capture.change_context(integer, json, json) is
'What else there is to say about a change: who and why, its cause, an error; null if nothing';
