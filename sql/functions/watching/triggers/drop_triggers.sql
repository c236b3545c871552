-- jobhooks.drop_triggers(content_type_id): drop the triggers of a watched table, including those on its partitions.
create or replace function jobhooks.drop_triggers(content_type_id integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    relation constant regclass := (select c.relation from jobhooks.content_type as c where c.id = content_type_id);
    ours record;
begin
    -- A trigger that a partition has from its parent goes with the parent's.
    for ours in
        select trigger.tgname as name, trigger.tgrelid::regclass as relation
        from pg_trigger as trigger
        where trigger.tgparentid = 0
            and not trigger.tgisinternal
            and trigger.tgfoid in (
                select oid from pg_proc where pronamespace = 'jobhooks_capture'::regnamespace
                union all select 'jobhooks.capture_change()'::regprocedure
            )
            and (
                trigger.tgname ~ format('^[!~]jobhooks_%s_', content_type_id)
                or (trigger.tgrelid = relation and trigger.tgfoid = 'jobhooks.capture_change()'::regprocedure)
            )
    loop
        execute format('drop trigger %I on %s', ours.name, ours.relation);
    end loop;
end
$$;

comment on function jobhooks.drop_triggers(integer) is 'Drop the triggers of a watched table, including those on its partitions';
