-- jobhooks.trigger_statements(content_type_id): the statements that make the triggers of a watched table, as it is now.
--
-- The row triggers do their work in WHEN, at once, and not when triggers fire, which is at the statement's end: see
-- jobhooks_capture.record_change. Nothing in them names a column, so that the table can be altered.
create or replace function jobhooks.trigger_statements(content_type_id integer)
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    watched constant jobhooks.content_type := (select c from jobhooks.content_type as c where c.id = content_type_id);
    prefix constant text := '!jobhooks_' || watched.id;
    table_name constant text := jobhooks.table_name(watched.relation);
    is_partitioned constant boolean := (select relkind = 'p' from pg_class where oid = watched.relation);
    before constant text := jobhooks.snapshot_expression(watched.relation, 'old', watched.key_columns, watched.exclude);
    after constant text := jobhooks.snapshot_expression(watched.relation, 'new', watched.key_columns, watched.exclude);
    -- The image, not "is distinct from", which fails on a json column.
    changed constant text := case when watched.ignore = '{}'
        then 'old.* *<> new.*'
        else format('old.* *<> new.* and jobhooks_capture.differs(old.*, new.*, %L)', (
            select json_object_agg(name, null) from unnest(watched.ignore) as name
        ))
    end;
    recorded text := 'when (jobhooks_capture.record_change(%s, %L, %s, %s))';
    executed constant text := 'execute function jobhooks_capture.never_called()';
    relation record;
begin
    if is_partitioned then
        -- From PostgreSQL 15 on, a row that moves is shown to the root's update trigger, too, if a foreign key refers to
        -- the table: without a tableoid, or else as what has just arrived.
        return next format(
            $f$create or replace trigger "~jobhooks_%s_before" before update on %s for each row when (
            set_config('jobhooks.departed_' || pg_trigger_depth(), '', true) is null or
            set_config('jobhooks.updating_' || pg_trigger_depth(), old.tableoid || ' ' || old.ctid, true) is null) %s$f$,
            watched.id, table_name, executed);
        return next format(
            $f$create or replace trigger "%s_update" after update on %s for each row when (case when %s
            and new.tableoid <> 0 and coalesce(current_setting('jobhooks.arrived_' || pg_trigger_depth(), true), '')
            <> new.tableoid || ' ' || new.ctid
            then jobhooks_capture.record_change(%s, 'update', %s, %s) end) %s$f$,
            prefix, table_name, changed, watched.id, before, after, executed);
        recorded := 'when (jobhooks_capture.record_partition_change(%s, %L, %s, %s, %s.tableoid || '' '' || %5$s.ctid))';
    else
        return next format(
            'create or replace trigger "%s_update" after update on %s for each row
            when (case when %s then jobhooks_capture.record_change(%s, ''update'', %s, %s) end) %s',
            prefix, table_name, changed, watched.id, before, after, executed);
    end if;
    return next format('create or replace trigger "%s_create" after insert on %s for each row ', prefix, table_name)
        || format(recorded, watched.id, 'create', 'null', after, 'new') || ' ' || executed;
    return next format('create or replace trigger "%s_delete" after delete on %s for each row ', prefix, table_name)
        || format(recorded, watched.id, 'delete', before, 'null', 'old') || ' ' || executed;

    for relation in select * from jobhooks.watched_relations(watched.relation) order by relid loop
        return next format(
            'create or replace trigger "%s_truncate" after truncate on %s execute function jobhooks_capture.record_truncate(%s)',
            prefix, jobhooks.table_name(relation.relid), watched.id);
        if is_partitioned then
            return next format(
                'create or replace trigger "%s_before_truncate" before truncate on %s
                execute function jobhooks_capture.record_truncate(%s)',
                prefix, jobhooks.table_name(relation.relid), watched.id);
            return next format(
                $f$create or replace trigger "%s_end" after update on %s for each statement when (
                set_config('jobhooks.departed_' || pg_trigger_depth(), '', true) is null or
                set_config('jobhooks.updating_' || pg_trigger_depth(), '', true) is null) %s$f$,
                prefix, jobhooks.table_name(relation.relid), executed);
        end if;
    end loop;
end
$$;

comment on function jobhooks.trigger_statements(integer) is 'The statements that make the triggers of a watched table, as it is now';
