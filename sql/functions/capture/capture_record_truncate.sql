-- jobhooks_capture.record_truncate(): the trigger function that writes a TRUNCATE to the log. Arguments: the content type, and
-- 'keep_lastval' if the trigger's WHEN has noted lastval(), which must stay ('no_lastval': restored_triggers reads it).
--
-- A TRUNCATE empties a partitioned table with all partitions, or one partition alone. Statement triggers are not inherited,
-- so each partition has them; and all BEFORE triggers of a TRUNCATE fire before the first AFTER trigger. So the BEFORE
-- triggers note the tables about to be emptied, and of the AFTER triggers only those of the topmost tables act.
--
-- A setting holds the places of these notes in their table, because serializable transactions conflict over a table that
-- each of them searches and writes to. Changing the setting only causes such a search.
create or replace function jobhooks_capture.record_truncate()
returns trigger
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
    own_id constant integer := tg_argv[0]::integer;
    own_relation constant oid := (select relation from jobhooks.content_type where id = own_id);
    depth constant integer := pg_trigger_depth();
    setting constant text := format('jobhooks.truncating_%s_%s', own_id, depth);
    place tid;
    places tid[];
begin
    if tg_when = 'BEFORE' then
        insert into jobhooks_capture.truncation (trigger_depth, content_type_id, relation) values (depth, own_id, tg_relid)
        on conflict do nothing
        returning ctid into place;
        perform set_config(setting, concat(current_setting(setting, true), place), true);
        return null;
    elsif own_relation = tg_relid then
        perform jobhooks_capture.record_change(own_id, 'truncate', null, null);
        if tg_argv[1] = 'keep_lastval' then
            perform jobhooks_capture.keep_lastval(jobhooks_capture.noted_lastval(), null);
        end if;
        if (select relkind <> 'p' from pg_class where oid = tg_relid) then
            return null; -- which has no BEFORE trigger
        end if;
    end if;

    places := array(
        select match[1]::tid
        from regexp_matches(current_setting(setting, true), '[(][0-3]?[0-9]{1,9},[0-9]{1,4}[)]', 'g') as match
    );
    place := (
        select ctid from jobhooks_capture.truncation
        where ctid = any (places) and transaction_id = pg_current_xact_id() and trigger_depth = depth
            and content_type_id = own_id and relation = tg_relid
    );
    if place is null then
        places := array(
            select ctid from jobhooks_capture.truncation
            where transaction_id = pg_current_xact_id() and trigger_depth = depth and content_type_id = own_id
        );
    end if;

    -- A partition that was detached later still has our trigger; its rows no longer belong to the content type.
    if tg_relid <> own_relation
        and own_relation in (select relid from pg_partition_ancestors(tg_relid))
        and not exists (
            select from jobhooks_capture.truncation
            where ctid = any (places) and transaction_id = pg_current_xact_id() and trigger_depth = depth
                and content_type_id = own_id and relation <> tg_relid
                and relation in (select relid from pg_partition_ancestors(tg_relid))
        )
    then
        perform jobhooks_capture.record_ending(own_id, 'truncate', null, format('%I.%I', tg_table_schema, tg_table_name));
        if tg_argv[1] = 'keep_lastval' then
            perform jobhooks_capture.keep_lastval(jobhooks_capture.noted_lastval(), null);
        end if;
    end if;

    -- The last one of the TRUNCATE clears up.
    update jobhooks_capture.truncation set done = true
    where ctid = any (places) and transaction_id = pg_current_xact_id() and trigger_depth = depth
        and content_type_id = own_id and relation = tg_relid
    returning ctid into place;
    places := places || place;
    if exists (
        select from jobhooks_capture.truncation
        where ctid = any (places) and transaction_id = pg_current_xact_id() and trigger_depth = depth
            and content_type_id = own_id and not done
    ) then
        perform set_config(setting, array_to_string(places, ''), true);
    else
        delete from jobhooks_capture.truncation
        where ctid = any (places) and transaction_id = pg_current_xact_id() and trigger_depth = depth
            and content_type_id = own_id;
        perform set_config(setting, '', true);
    end if;
    return null;
end
$$;

comment on function jobhooks_capture.record_truncate() is 'The trigger function that writes a TRUNCATE to the log';
