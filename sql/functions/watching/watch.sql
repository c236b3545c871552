-- jobhooks.watch(relation, key, keyless, always, exclude, ignore, allow_casts, keep_lastval, parents): watch a table, or change how it is watched.
--
-- key: the columns that identify a row; by default the primary key. keyless: watch a table without a key, and without object
-- identity. always: also capture rows that logical replication applies. exclude: columns that are left out of the snapshots.
-- ignore: columns whose change alone is not recorded. allow_casts: watch it although code of a type's owner makes the json of
-- a column (see casts_of_columns); a table that is watched already stays so, and doctor names the cast. keep_lastval: every
-- captured row leaves lastval() as it was, which costs more; false: no row does; null: an inserted row of a table that a sequence
-- fills. parents: tables that a change of this one also updates, as set_parents takes them; null: as before. Run again, it
-- replaces the triggers. It waits half a second for each lock.
create or replace function jobhooks.watch(
    relation regclass,
    key text[] default null,
    keyless boolean default false,
    always boolean default false,
    exclude text[] default '{}',
    ignore text[] default '{}',
    allow_casts boolean default false,
    keep_lastval boolean default null,
    parents json default '[]'
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former_timeout constant text := jobhooks.wait_briefly();
    table_name constant text := jobhooks.table_name(relation);
    key_columns constant text[] := case when keyless then '{}' else coalesce(key, jobhooks.primary_key(relation)) end;
    content_type_id integer;
    statements text[];
    statement text;
    ours record;
    secrets text[];
begin
    if not exists (select from jobhooks.installation) then
        raise exception 'cannot watch %: the schema jobhooks has no rows, as after a restore of a dump without data', table_name
        using errcode = 'JH001', hint = 'jobhooks install';
    end if;
    perform jobhooks.check_watchable(relation, key_columns, exclude, ignore);
    if not allow_casts and not exists (
        select from jobhooks.content_type as known where known.relation = watch.relation and known.watched
    ) then
        perform jobhooks.check_casts(relation, exclude);
    end if;

    -- A table that was dropped and created again takes over the content type of the former one, with its hooks.
    update jobhooks.content_type as content_type
    set relation = watch.relation
    where content_type.id = (
            select max(gone.id)
            from jobhooks.content_type as gone
            where gone.name = table_name and not exists (select from pg_class where oid = gone.relation)
        )
        and not exists (select from jobhooks.content_type as own where own.relation = watch.relation);

    insert into jobhooks.content_type as content_type (relation, name, key_columns, always, exclude, ignore, keep_lastval)
    values (watch.relation, table_name, key_columns, watch.always, watch.exclude, watch.ignore, watch.keep_lastval)
    on conflict on constraint content_type_relation_key do update
    set name = excluded.name, key_columns = excluded.key_columns, always = excluded.always,
        exclude = excluded.exclude, ignore = excluded.ignore, keep_lastval = excluded.keep_lastval, watched = true
    returning content_type.id into content_type_id;
    if parents is not null then
        perform jobhooks.set_parents(content_type_id, parents);
    end if;

    -- Triggers are replaced, not dropped: dropping one waits for readers of the table. Except those of a former version, and those
    -- that came with a dump of the table and have the number of another content type.
    for ours in
        select trigger.tgname as name, trigger.tgrelid::regclass as relation
        from pg_trigger as trigger
        where trigger.tgrelid = watch.relation and trigger.tgfoid = 'jobhooks.capture_change()'::regprocedure
        union all
        select trigger.tgname, trigger.tgrelid::regclass
        from jobhooks.watched_relations(watch.relation) as part
        join pg_trigger as trigger on trigger.tgrelid = part.relid and trigger.tgparentid = 0
        where trigger.tgname ~ '^[!~]jobhooks_[0-9]{1,9}_'
            and trigger.tgfoid in (select oid from pg_proc where pronamespace = 'jobhooks_capture'::regnamespace)
            and not exists (
                select from jobhooks.content_type as own
                where own.watched and starts_with(substr(trigger.tgname, 2), format('jobhooks_%s_', own.id))
                    and own.relation in (select part.relid union all select relid from pg_partition_ancestors(part.relid))
            )
    loop
        execute format('drop trigger %I on %s', ours.name, ours.relation);
    end loop;
    statements := array(select jobhooks.trigger_statements(content_type_id));
    foreach statement in array statements loop
        execute statement;
    end loop;
    if always then
        -- On each partition by itself: not every version does it for them all.
        for ours in
            select trigger.tgname as name, trigger.tgrelid::regclass as relation
            from pg_trigger as trigger
            where trigger.tgname ~ format('^[!~]jobhooks_%s_', content_type_id)
                and trigger.tgrelid in (select relid from jobhooks.watched_relations(watch.relation))
        loop
            execute format('alter table only %s enable always trigger %I', ours.relation, ours.name);
        end loop;
    end if;
    update jobhooks.content_type as content_type
    set triggers = statements,
        partitions = array(
            select relid from jobhooks.watched_relations(watch.relation) where relid <> watch.relation order by relid
        )
    where content_type.id = content_type_id;
    perform set_config('lock_timeout', former_timeout, true);
    secrets := array(
        select name from unnest(jobhooks.secret_columns(relation)) as name
        where name <> all (watch.exclude) and name <> all (key_columns)
    );
    if secrets <> '{}' then
        raise notice 'the log records columns of % that look like secrets: %', table_name, array_to_string(secrets, ', ')
        using hint = jobhooks.exclude_command(content_type_id, secrets);
    end if;
    for ours in select * from jobhooks.problems_of_publications() as found where found.severity = 'warning' loop
        raise notice '%: %', ours.subject, ours.problem using hint = ours.remedy;
    end loop;
    return content_type_id;
end
$$;

comment on function jobhooks.watch(regclass, text [], boolean, boolean, text [], text [], boolean, boolean, json) is
'Watch a table, or change how it is watched; returns the id of its content type';
