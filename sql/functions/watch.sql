-- jobhooks.watch(relation, key, keyless, always): watch a table, or change how it is watched.
--
-- key: the columns that identify a row; by default the primary key. keyless: watch a table that has none, without
-- object identity. always: capture what logical replication applies, too. Run again, it replaces the triggers.
create or replace function jobhooks.watch(
    relation regclass,
    key text [] default null,
    keyless boolean default false,
    always boolean default false
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    table_name constant text := jobhooks.table_name(relation);
    key_columns constant text[] := case when keyless then '{}' else coalesce(key, jobhooks.primary_key(relation)) end;
    content_type_id integer;
    arguments text;
begin
    perform jobhooks.check_watchable(relation, key_columns);

    -- A table that was dropped and made again takes its content type, with its hooks, over from the one that is gone.
    update jobhooks.content_type as content_type
    set relation = watch.relation
    where content_type.id = (
            select max(gone.id)
            from jobhooks.content_type as gone
            where gone.name = table_name and not exists (select from pg_class where oid = gone.relation)
        )
        and not exists (select from jobhooks.content_type as own where own.relation = watch.relation);

    insert into jobhooks.content_type as content_type (relation, name, key_columns, always)
    values (watch.relation, table_name, key_columns, watch.always)
    on conflict on constraint content_type_relation_key do update
    set name = excluded.name, key_columns = excluded.key_columns, always = excluded.always, watched = true
    returning content_type.id into content_type_id;

    select string_agg(quote_literal(argument), ', ')
    into arguments
    from unnest(array[content_type_id::text] || key_columns) as argument;

    -- '!' sorts before the names people give: triggers fire in order of name, and what a user's own AFTER trigger
    -- does to a row must be captured after what fired it.
    execute format(
        'create or replace trigger "!jobhooks_capture" after insert or delete on %s
         for each row execute function jobhooks.capture_change(%s)', table_name, arguments);
    -- The comparison of images, not "is distinct from", which fails on a json column.
    execute format(
        'create or replace trigger "!jobhooks_capture_update" after update on %s
         for each row when (old.* operator(pg_catalog.*<>) new.*) execute function jobhooks.capture_change(%s)',
        table_name, arguments);
    execute format(
        'create or replace trigger "!jobhooks_capture_truncate" after truncate on %s
         for each statement execute function jobhooks.capture_change(%s)', table_name, arguments);
    execute format(
        'alter table %1$s %2$s trigger "!jobhooks_capture", %2$s trigger "!jobhooks_capture_update",
         %2$s trigger "!jobhooks_capture_truncate"', table_name, case when always then 'enable always' else 'enable' end);
    return content_type_id;
end
$$;

comment on function jobhooks.watch(regclass, text [], boolean, boolean) is
'Watch a table, or change how it is watched; returns the id of its content type';
