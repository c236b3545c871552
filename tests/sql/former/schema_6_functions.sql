-- What version 0.1's first schema (6) had for capturing: frozen here, for the test of the upgrade.
-- jobhooks.object_key(object, key_columns): the key of a row as json.
--
-- Only for a row that cannot be written down whole. Null where not even the key can be had: the writer goes on.
create or replace function jobhooks.object_key(object record, key_columns text [])
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    key json;
begin
    if cardinality(key_columns) = 0 then
        return null;
    end if;
    perform set_config('transaction_read_only', 'on', true); -- as capture_change does, to the end of this block
    execute (
        select format('select json_build_object(%s)', string_agg(format('%L, ($1).%I', name, name), ', '))
        from unnest(key_columns) as name
    )
    into key
    using object;
    return key;
exception when others then
    return null;
end
$$;

comment on function jobhooks.object_key(record, text []) is 'The key of a row as json, for a row that cannot be written down whole';
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
-- jobhooks.may_mark(): whether this session's role may mark its writes as a receiver's.
--
-- Membership of jobhooks_receiver; where the installer could not create that role, of the role that owns the schema.
-- Security definer, so that current_user is that owner.
create or replace function jobhooks.may_mark()
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select case
        when to_regrole('jobhooks_receiver') is null then pg_has_role(session_user, current_user, 'member')
        else pg_has_role(session_user, 'jobhooks_receiver', 'member')
    end
$$;

comment on function jobhooks.may_mark() is 'Whether this session''s role may mark its writes as a receiver''s';
-- jobhooks.table_name(relation): schema.table, quoted where SQL needs it; null once the table is gone.
--
-- Unlike relation::text it names the schema whatever the caller's search_path is.
create or replace function jobhooks.table_name(relation regclass)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select format('%I.%I', namespace.nspname, class.relname)
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.oid = relation
$$;

comment on function jobhooks.table_name(regclass) is 'schema.table, quoted where SQL needs it; null once the table is gone';
-- jobhooks.primary_key(relation): the columns of a table's primary key, in its order; null where it has none.
create or replace function jobhooks.primary_key(relation regclass)
returns text []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array_agg(attribute.attname::text order by key.position)
    from pg_index as index
    cross join unnest(index.indkey) with ordinality as key (attnum, position)
    join pg_attribute as attribute on attribute.attrelid = index.indrelid and attribute.attnum = key.attnum
    where index.indrelid = relation and index.indisprimary and key.position <= index.indnkeyatts
$$;

comment on function jobhooks.primary_key(regclass) is 'The columns of a table''s primary key, in its order; null where it has none';
-- jobhooks.check_watchable(relation, key_columns): raise what stands against watching a table.
create or replace function jobhooks.check_watchable(relation regclass, key_columns text [])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    table_name constant text := jobhooks.table_name(relation);
    class constant pg_class := (select c from pg_class as c where c.oid = relation);
    unknown_columns text;
    reason text;
begin
    select string_agg(name, ', ')
    into unknown_columns
    from unnest(key_columns) as name
    where not exists (
        select from pg_attribute
        where attrelid = relation and attname = name and attnum > 0 and not attisdropped
    );
    reason := case
        when class.relnamespace in ('pg_catalog'::regnamespace, 'jobhooks'::regnamespace)
            then 'it belongs to the server or to jobhooks'
        when class.relispartition
            then format('it is a partition: watch %s, which serves all its partitions', (
                select jobhooks.table_name(inhparent) from pg_inherits where inhrelid = relation
            ))
        when class.relkind not in ('r', 'p') then 'it is not a table'
        when class.relpersistence = 't' then 'it is a temporary table'
        when unknown_columns is not null then format('it has no column %s', unknown_columns)
        when key_columns is null
            then 'it has no primary key: name key columns with --key, or watch it with --keyless'
    end;
    if reason is not null then
        raise exception 'cannot watch %: %', table_name, reason using errcode = 'JH001';
    end if;
end
$$;

comment on function jobhooks.check_watchable(regclass, text []) is 'Raise what stands against watching a table';
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
