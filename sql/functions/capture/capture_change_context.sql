-- jobhooks_capture.change_context(content_type_id, before, after): the context of a change as json; null without one.
--
-- before, after: the values of snapshot. A mark, and a request not to trigger, count only for roles that may use them; the
-- catalogue is read only if there is one. A message alone is not recorded: record_change looks for the others only,
-- because a fifth look-up costs every writer 690 instructions a row. The session's settings can hold anything, including
-- bytes that are not text and hundreds of megabytes: the part that is kept is text, and short, and nothing in them fails
-- the writer.
create or replace function jobhooks_capture.change_context(content_type_id integer, before json, after json)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    user_name text;
    request_id text;
    message text;
    mark text;
    triggering text;
    failed constant json := case
        when json_typeof(before) = 'array' then before
        when json_typeof(after) = 'array' then after
        when greatest(pg_column_size(before), pg_column_size(after)) > 500000000
            then '["54000: the row has over 500 MB as json"]'
    end;
    now_or_last constant json := coalesce(after, before);
    key json; -- of the row as it is now
    cause text[];
    may_mark boolean := false;
    suppressed boolean;
    context json;
begin
    begin
        user_name := left(current_setting('jobhooks.user_name', true), 1000);
        request_id := left(current_setting('jobhooks.request_id', true), 1000);
        message := left(current_setting('jobhooks.message', true), 1000);
        mark := left(current_setting('jobhooks.delivery', true), 1000);
        triggering := left(current_setting('jobhooks.triggering', true), 1000);
        -- This fails for bytes that are not text, and for text that cannot be sent to any client.
        perform convert_to(concat(user_name, request_id, message, mark, triggering), 'UTF8');
    exception when others then
        user_name := jobhooks_capture.printable_bytes(current_setting('jobhooks.user_name', true));
        request_id := jobhooks_capture.printable_bytes(current_setting('jobhooks.request_id', true));
        message := jobhooks_capture.printable_bytes(current_setting('jobhooks.message', true));
        mark := jobhooks_capture.printable_bytes(current_setting('jobhooks.delivery', true));
        triggering := jobhooks_capture.printable_bytes(current_setting('jobhooks.triggering', true));
    end;
    mark := nullif(mark, '');
    suppressed := lower(triggering) in ('off', 'false', 'no', '0');
    if mark is not null or suppressed then
        begin
            may_mark := jobhooks.may_mark();
        exception when others then
            may_mark := false; -- the session's role has been dropped
        end;
        -- change, hook and attempt of the run; then the depth of its writes in a chain, if that is more than 1.
        cause := regexp_match(mark, '^([0-9]{1,18}):([0-9]{1,9}):([0-9]{1,9})(?::([1-9][0-9]?))?$');
    end if;
    if failed is not null then
        begin
            key := case when json_typeof(now_or_last) = 'array' then now_or_last -> 1 else jobhooks.columns_of(
                now_or_last, (select key_columns from jobhooks.content_type where id = content_type_id)
            ) end;
        exception when others then
            key := null; -- a json column may hold brackets deeper than the stack
        end;
    end if;
    context := json_strip_nulls(json_build_object(
        'user_name', nullif(user_name, ''),
        'request_id', nullif(request_id, ''),
        'message', nullif(message, ''),
        'caused_by', case when may_mark and cause is not null then json_build_object(
            'change', cause[1]::bigint, 'hook', cause[2]::integer, 'attempt', cause[3]::integer, 'depth', cause[4]::integer
        ) end,
        'muted', case when may_mark and suppressed then true end,
        'refused_mark', case
            when not may_mark and suppressed and mark is null then 'triggering = off'
            when not may_mark or cause is null then left(mark, 100)
        end,
        'snapshot_error', failed ->> 0,
        'object_key', key
    ));
    return nullif(context::text, '{}')::json;
end
$$;

comment on function jobhooks_capture.change_context(integer, json, json) is
'The context of a change as json: user and reason, its cause, an error; null if it has none';
