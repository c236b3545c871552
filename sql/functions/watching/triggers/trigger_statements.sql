-- jobhooks.trigger_statements(content_type_id): the statements that create the triggers of a watched table, as it is now.
--
-- The row triggers do their work in WHEN, immediately, and not at the statement's end, when triggers fire: see
-- jobhooks_capture.record_change. Nothing in them names a column, so the table can be altered.
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
    -- For a partitioned table: the settings through which the two halves of a moving row find each other. They only ever
    -- point at something, because an application can also set them: see jobhooks_capture.record_partition_change.
    updating constant text := '''jobhooks.updating_'' || pg_trigger_depth()';
    departed constant text := '''jobhooks.departed_'' || pg_trigger_depth()';
    has_departed constant text := format('coalesce(current_setting(%s, true), '''') <> ''''', departed);
    create_condition text := format('jobhooks_capture.record_change(%s, ''create'', null, %s)', watched.id, after);
    update_condition text := changed;
    delete_condition text := format('jobhooks_capture.record_change(%s, ''delete'', %s, null)', watched.id, before);
    -- By default lastval() stays where an application asks for it: after an INSERT into a table that a sequence fills.
    -- The former value first: arguments are evaluated in their order.
    kept constant text := case when watched.keep_lastval
        then 'jobhooks_capture.keep_lastval(jobhooks_capture.former_lastval(), %s)' else '%s' end;
    is_filled constant boolean := watched.keep_lastval is null and jobhooks.is_filled_by_sequence(watched.relation);
    executed constant text := 'execute function jobhooks_capture.trigger_stub()';
    relation record;
begin
    if is_filled then
        create_condition := format(
            'jobhooks_capture.set_lastval(jobhooks_capture.lastval_to_keep(new.tableoid, ''jobhooks.unreadable_%s''), %s)',
            watched.id, create_condition);
    end if;
    if is_partitioned then
        return next format(
            'create or replace trigger "~jobhooks_%s_before" before update on %s for each row
            when (set_config(%s, old.tableoid || '' '' || old.ctid, true) is null) %s',
            watched.id, table_name, updating, executed);
        -- From PostgreSQL 15 on, the update trigger of the table that the statement names also sees a row that moves: then
        -- the two rows are not both in one partition.
        update_condition := format(
            'set_config(%s, '''', true) is not null and old.tableoid <> 0 and old.tableoid = new.tableoid and %s',
            updating, changed);
        create_condition := format(
            'case when %s then jobhooks_capture.record_partition_change(
            %s, ''create'', null, %s, jobhooks_capture.moved_row_position(current_setting(%s))) else %s end',
            has_departed, watched.id, after, departed, create_condition);
        delete_condition := format(
            'case when current_setting(%s, true) = old.tableoid || '' '' || old.ctid
            then jobhooks_capture.record_partition_change(%s, ''delete'', %s, null, current_setting(%1$s)) else %4$s end',
            updating, watched.id, before, delete_condition);
    end if;
    return next format('create or replace trigger "%s_create" after insert on %s for each row when (%s) %s',
        prefix, table_name, format(kept, create_condition), executed);
    return next format(
        'create or replace trigger "%s_update" after update on %s for each row
        when (case when %s then %s end) %s',
        prefix, table_name, update_condition,
        format(kept, format('jobhooks_capture.record_change(%s, ''update'', %s, %s)', watched.id, before, after)), executed);
    return next format('create or replace trigger "%s_delete" after delete on %s for each row when (%s) %s',
        prefix, table_name, format(kept, delete_condition), executed);

    for relation in
        select * from jobhooks.watched_relations(watched.relation)
        -- Foreign tables can have them from PostgreSQL 16 on.
        where relkind <> 'f' or current_setting('server_version_num')::integer >= 160000
        order by relid
    loop
        return next format(
            'create or replace trigger "%s_truncate" after truncate on %s %sexecute function jobhooks_capture.record_truncate(%s)',
            prefix, jobhooks.table_name(relation.relid),
            case when watched.keep_lastval
                then 'when (jobhooks_capture.note_lastval(jobhooks_capture.former_lastval())) ' else ''
            end,
            -- restored_triggers reads the option in the second argument.
            concat_ws(', ', watched.id, case watched.keep_lastval when true then '''keep_lastval''' when false then '''no_lastval''' end));
        if is_partitioned then
            return next format(
                'create or replace trigger "%s_before_truncate" before truncate on %s
                execute function jobhooks_capture.record_truncate(%s)',
                prefix, jobhooks.table_name(relation.relid), watched.id);
            return next format(
                'create or replace trigger "%s_end" after update on %s for each statement
                when (set_config(%s, '''', true) is null or set_config(%s, '''', true) is null) %s',
                prefix, jobhooks.table_name(relation.relid), updating, departed, executed);
        end if;
    end loop;
end
$$;

comment on function jobhooks.trigger_statements(integer) is 'The statements that create the triggers of a watched table, as it is now';
