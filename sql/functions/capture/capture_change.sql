-- jobhooks.capture_change(): the trigger function of tables that were watched by an earlier version.
--
-- jobhooks install watches these tables again; until it gets the lock for that, this function loses no change. Here the code
-- of a table's owner runs with the rights of capture, so it runs in a block that may not write.
create or replace function jobhooks.capture_change()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    key constant text := tg_argv[1:];
    before json;
    after json;
begin
    begin
        perform set_config('transaction_read_only', 'on', true);
        if tg_op in ('UPDATE', 'DELETE') then
            before := jobhooks_capture.shaped_snapshot(old, key, '{}', '{}', tg_relid, current_setting('timezone'));
        end if;
        if tg_op in ('UPDATE', 'INSERT') then
            after := jobhooks_capture.shaped_snapshot(new, key, '{}', '{}', tg_relid, current_setting('timezone'));
        end if;
    exception when raise_exception then null; -- so that the block rolls back, and with it its read-only mode
    end;
    perform jobhooks_capture.record_change(
        tg_argv[0]::integer,
        case tg_op
            when 'INSERT' then 'create'::jobhooks.action
            when 'UPDATE' then 'update'::jobhooks.action
            when 'DELETE' then 'delete'::jobhooks.action
            else 'truncate'::jobhooks.action
        end,
        before, after
    );
    return null;
end
$$;

comment on function jobhooks.capture_change() is 'The trigger function of tables that were watched by an earlier version';
