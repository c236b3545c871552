-- jobhooks.capture_change(): the trigger function that writes a row change to the log.
--
-- Arguments of the trigger: the id of the content type, then the key columns. It runs inside the application's own
-- statement, so: it names no column of the table, looks nothing up, takes no lock that another writer waits for, and
-- cannot fail where the statement would have succeeded. What it writes does not depend on how the session formats dates
-- and numbers. The json of a row may run code of the table's owner (a cast to json of a type of theirs), which must not
-- get the rights of whoever installed this: grants.sql gives the function to a role that can do nothing else.
create or replace function jobhooks.capture_change()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set extra_float_digits = 1
set bytea_output = 'hex'
as $$
declare
    before json;
    after json;
    failure text;
    key json;
    mark text := nullif(current_setting('jobhooks.delivery', true), '');
    cause text[];
begin
    -- The one thing that can fail is writing down the row: over 1 GB, or a type whose own output fails. This block
    -- writes nothing, so its subtransaction never takes a transaction id; and it may write nothing, so that code of the
    -- table's owner neither forges changes nor alters this function. The end of the block ends that.
    begin
        perform set_config('transaction_read_only', 'on', true);
        if tg_op in ('UPDATE', 'DELETE') then
            before := row_to_json(old);
        end if;
        if tg_op in ('UPDATE', 'INSERT') then
            after := row_to_json(new);
        end if;
    exception when others then
        before := null;
        after := null;
        failure := sqlstate || ': ' || sqlerrm;
    end;
    if failure is not null then
        key := jobhooks.object_key(case when tg_op = 'DELETE' then old else new end, tg_argv[1:]);
    end if;

    -- A mark is honoured only from those who may carry one; the catalogue is asked only when there is a mark.
    if mark is not null then
        cause := regexp_match(mark, '^([0-9]{1,18}):([0-9]{1,9}):([0-9]{1,9})$');
        if cause is not null and jobhooks.may_mark() then
            mark := null;
        else
            cause := null;
        end if;
    end if;

    insert into jobhooks.object_change (
        content_type_id, action, prechange, postchange, snapshot_error, object_key, user_name, request_id,
        triggering, caused_by_change_id, caused_by_hook_id, caused_by_attempt, refused_mark
    )
    values (
        tg_argv[0]::integer,
        case tg_op
            when 'INSERT' then 'create'::jobhooks.action
            when 'UPDATE' then 'update'::jobhooks.action
            when 'DELETE' then 'delete'::jobhooks.action
            else 'truncate'::jobhooks.action
        end,
        before, after, failure, key,
        nullif(current_setting('jobhooks.user_name', true), ''),
        nullif(current_setting('jobhooks.request_id', true), ''),
        cause is null, cause[1]::bigint, cause[2]::integer, cause[3]::integer, left(mark, 100)
    );

    -- Wake the daemon, but only one that sleeps, since a NOTIFY makes commits wait for one another. A daemon that sleeps
    -- holds this lock exclusively (1785684584 is 'jobh', 2 is "wake me"). Whoever gets it shared sends no NOTIFY and
    -- holds it to the end of the transaction: so once a daemon has it, nobody is left who has sent none and may still
    -- commit. Each further row of the transaction finds the lock in the session's own table.
    if cause is null and not pg_try_advisory_xact_lock_shared(1785684584, 2) then
        perform pg_notify('jobhooks', '');
    end if;
    return null;
end
$$;

comment on function jobhooks.capture_change() is 'The trigger function that writes a row change to the log';
