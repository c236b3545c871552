-- jobhooks.restored_triggers(): tables with triggers that came with a dump, and whose content type is not theirs.
--
-- After a restore of the schema alone there are no content types; after a restore of some tables the number in a trigger can be
-- that of another table, whose changes it would seem to record. The options are those in the triggers.
create or replace function jobhooks.restored_triggers()
returns table (
    relation regclass, content_type_id integer, key_columns text [], exclude text [], ignore text [], always boolean,
    keep_lastval boolean
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found record;
    literal constant text := '''((?:[^'']|'''')*)''';
    parts text[];
begin
    for found in
        select
            trigger.tgrelid, trigger.tgenabled, pg_get_triggerdef(trigger.oid) as on_create,
            pg_get_triggerdef(updating.oid) as on_update, pg_get_triggerdef(truncating.oid) as on_truncate,
            substring(trigger.tgname from '^!jobhooks_([0-9]{1,9})_create$')::integer as id
        from pg_trigger as trigger
        join pg_proc as function on function.oid = trigger.tgfoid
        join pg_namespace as namespace on namespace.oid = function.pronamespace and namespace.nspname = 'jobhooks_capture'
        left join pg_trigger as updating
            on updating.tgrelid = trigger.tgrelid
                and updating.tgname = replace(trigger.tgname, '_create', '_update')
        left join pg_trigger as truncating
            on truncating.tgrelid = trigger.tgrelid
                and truncating.tgname = replace(trigger.tgname, '_create', '_truncate')
        where trigger.tgname ~ '^!jobhooks_[0-9]{1,9}_create$'
            and trigger.tgparentid = 0
            and not exists (
                select from jobhooks.content_type as own
                where own.watched and own.relation = trigger.tgrelid
                    and trigger.tgname = format('!jobhooks_%s_create', own.id)
            )
        order by trigger.tgrelid
    loop
        begin
            parts := regexp_match(found.on_create, concat('napshot\(new\.\*, ', literal, '::text(?:, ', literal, '::text\[\])?'));
            relation := found.tgrelid;
            content_type_id := found.id;
            key_columns := replace(parts[1], '''''', '''')::text [];
            exclude := coalesce(replace(parts[2], '''''', ''''), '{}')::text [];
            parts := regexp_match(found.on_update, concat('differs\(old\.\*, new\.\*, ', literal, '::json'));
            ignore := array(select json_object_keys(replace(parts[1], '''''', '''')::json));
            always := found.tgenabled = 'A';
            keep_lastval := case
                when strpos(found.on_create, 'jobhooks_capture.keep_lastval(') > 0 then true
                when strpos(found.on_truncate, '''no_lastval''') > 0 then false
            end;
            if key_columns is not null then
                return next;
            end if;
        exception when data_exception then null; -- a trigger that somebody made by hand
        end;
    end loop;
end
$$;

comment on function jobhooks.restored_triggers() is
'Tables with triggers that came with a dump, and whose content type is not theirs';
