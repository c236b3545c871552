-- jobhooks_capture.record_truncate(): the trigger function that writes a TRUNCATE to the log. Argument: the content type.
--
-- Of a partitioned table, all partitions are emptied with it, or one alone. Statement triggers are not inherited, so each
-- has them; and all of a TRUNCATE's BEFORE triggers fire before the first AFTER trigger. So the first ones note what is
-- about to be emptied, and of the second ones only those act above which nothing is.
create or replace function jobhooks_capture.record_truncate()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    own_id constant integer := tg_argv[0]::integer;
    depth constant integer := pg_trigger_depth();
    root constant oid := coalesce(pg_partition_root(tg_relid), tg_relid);
    untouched boolean;
begin
    if tg_when = 'BEFORE' then
        insert into jobhooks_capture.truncation (trigger_depth, relation) values (depth, tg_relid) on conflict do nothing;
        return null;
    end if;

    -- A partition that was detached since has our trigger still; its rows are not the content type's any more.
    untouched := not exists (
        select from jobhooks.content_type where id = own_id and relation = root
    ) or exists (
        select from jobhooks_capture.truncation as truncation
        join pg_partition_ancestors(tg_relid) as ancestor on ancestor.relid = truncation.relation
        where truncation.transaction_id = pg_current_xact_id()
            and truncation.trigger_depth = depth
            and ancestor.relid <> tg_relid
    );
    if not untouched then
        perform jobhooks_capture.record_change(own_id, 'truncate', null, null);
        if tg_relid <> root then
            update jobhooks.object_change
            set context = coalesce(context::jsonb, '{}')
                || jsonb_build_object('partition', format('%I.%I', tg_table_schema, tg_table_name))
            where id = currval('jobhooks.object_change_id_seq');
        end if;
    end if;

    update jobhooks_capture.truncation set done = true
    where transaction_id = pg_current_xact_id() and trigger_depth = depth and relation = tg_relid;
    delete from jobhooks_capture.truncation
    where transaction_id = pg_current_xact_id() and trigger_depth = depth and not exists (
        select from jobhooks_capture.truncation as other
        where other.transaction_id = pg_current_xact_id() and other.trigger_depth = depth and not other.done
    );
    return null;
end
$$;

comment on function jobhooks_capture.record_truncate() is 'The trigger function that writes a TRUNCATE to the log';
