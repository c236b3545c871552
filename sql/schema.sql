-- The schema as it is after all migrations: for reading, written by make generate.

CREATE SCHEMA jobhooks;

COMMENT ON SCHEMA jobhooks IS 'Job Hooks: row changes, the hooks that match them, and what their receivers did';

CREATE TYPE jobhooks.action AS ENUM (
    'create',
    'update',
    'delete',
    'truncate'
);

COMMENT ON TYPE jobhooks.action IS 'What happened to a row; truncate happened to the whole table';

CREATE FUNCTION jobhooks.add_hook(name text, content_types text[], events text[], job text, description text DEFAULT ''::text) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    job_id constant integer := (select known.id from jobhooks.job as known where known.class_path = add_hook.job);
    actions jobhooks.action[];
    relations regclass[];
    unknown text;
    hook_id integer;
begin
    if length(name) not between 1 and 255 then
        raise exception 'cannot add a hook whose name has % characters: it takes 1 to 255', length(name)
        using errcode = 'JH024';
    end if;
    if job_id is null then
        raise exception 'cannot add hook "%": there is no job %', name, job using errcode = 'JH020';
    end if;

    select string_agg(event, ', ')
    into unknown
    from unnest(events) as event
    where event <> all (enum_range(null::jobhooks.action)::text[]);
    if unknown is not null or cardinality(events) = 0 then
        raise exception 'cannot add hook "%": %', name,
            coalesce('there is no event ' || unknown, 'you must select at least one event')
        using errcode = 'JH021', hint = 'The events are create, update, delete and truncate.';
    end if;
    actions := (select array_agg(distinct event::jobhooks.action) from unnest(events) as event);

    relations := (select array_agg(distinct to_regclass(content_type)) from unnest(content_types) as content_type);
    select string_agg(content_type, ', ')
    into unknown
    from unnest(content_types) as content_type
    where not exists (
        select from jobhooks.content_type as known where known.relation = to_regclass(content_type) and known.watched
    );
    if unknown is not null or cardinality(content_types) = 0 then
        raise exception 'cannot add hook "%": %', name,
            coalesce(unknown || ' is not a watched table', 'you must select at least one content type')
        using errcode = 'JH022', hint = 'Watch it with: jobhooks table watch ' || coalesce(unknown, 'SCHEMA.TABLE');
    end if;

    begin
        insert into jobhooks.job_hook (name, description, job_id, events)
        values (add_hook.name, add_hook.description, job_id, actions)
        returning id into hook_id;
    exception when unique_violation then
        raise exception 'cannot add hook "%": there is a hook of that name', name
        using errcode = 'JH023', hint = 'Choose another name; "jobhooks hook list" shows those taken.';
    end;
    insert into jobhooks.job_hook_content_type (job_hook_id, content_type_id)
    select hook_id, content_type.id
    from jobhooks.content_type as content_type
    where content_type.relation = any (relations);
    return hook_id;
end
$$;

COMMENT ON FUNCTION jobhooks.add_hook(name text, content_types text[], events text[], job text, description text) IS 'Add a job hook; returns its id';

CREATE FUNCTION jobhooks.adopt() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update jobhooks.cursor
    set first_id = (select case when is_called then last_value else 0 end from jobhooks.object_change_id_seq),
        seen = pg_current_snapshot(),
        seen_floor = 0,
        horizon = pg_current_snapshot(),
        horizon_floor = 0,
        last_id = 0,
        system_identifier = control.system_identifier,
        database_oid = (select oid from pg_database where datname = current_database()),
        saved_at = clock_timestamp()
    from pg_control_system() as control;
    update jobhooks.job_hook set enabled_since = pg_current_snapshot();
    delete from jobhooks.delivery;
end
$$;

COMMENT ON FUNCTION jobhooks.adopt() IS 'Make this database''s cursor its own, from now on: for a copy of a database';

CREATE FUNCTION jobhooks.capture_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO, YMD'
    SET "IntervalStyle" TO 'postgres'
    SET extra_float_digits TO '1'
    SET bytea_output TO 'hex'
    AS $_$
declare
    before json;
    after json;
    failure text;
    key json;
    mark text := nullif(current_setting('jobhooks.delivery', true), '');
    cause text[];
begin
    -- The one thing that can fail is writing down the row: over 1 GB, or a type whose own output fails. This block
    -- writes nothing, so its subtransaction never takes a transaction id.
    begin
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
$_$;

COMMENT ON FUNCTION jobhooks.capture_change() IS 'The trigger function that writes a row change to the log';

CREATE FUNCTION jobhooks.check_watchable(relation regclass, key_columns text[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION jobhooks.check_watchable(relation regclass, key_columns text[]) IS 'Raise what stands against watching a table';

CREATE FUNCTION jobhooks.enable_job(class_path text, enabled boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update jobhooks.job as job
    set enabled = enable_job.enabled
    where job.class_path = enable_job.class_path;
    if not found then
        raise exception 'there is no job %', class_path
        using errcode = 'JH020', hint = '"jobhooks job list" shows those that were found.';
    end if;
end
$$;

COMMENT ON FUNCTION jobhooks.enable_job(class_path text, enabled boolean) IS 'Enable or disable a job';

CREATE FUNCTION jobhooks.may_mark() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select case
        when to_regrole('jobhooks_receiver') is null then pg_has_role(session_user, current_user, 'member')
        else pg_has_role(session_user, 'jobhooks_receiver', 'member')
    end
$$;

COMMENT ON FUNCTION jobhooks.may_mark() IS 'Whether this session''s role may mark its writes as a receiver''s';

CREATE FUNCTION jobhooks.note_hook_enabled() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    new.enabled_since := pg_current_snapshot();
    return new;
end
$$;

COMMENT ON FUNCTION jobhooks.note_hook_enabled() IS 'The trigger function that keeps enabled_since when a hook is enabled again';

CREATE FUNCTION jobhooks.note_job_enabled() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
    update jobhooks.job_hook set enabled_since = pg_current_snapshot() where job_id = new.id;
    return null;
end
$$;

COMMENT ON FUNCTION jobhooks.note_job_enabled() IS 'The trigger function that has a job''s hooks begin anew when the job is enabled';

CREATE FUNCTION jobhooks.object_key(object record, key_columns text[]) RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
    key json;
begin
    if cardinality(key_columns) = 0 then
        return null;
    end if;
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
$_$;

COMMENT ON FUNCTION jobhooks.object_key(object record, key_columns text[]) IS 'The key of a row as json, for a row that cannot be written down whole';

CREATE FUNCTION jobhooks.park_dead(change_id bigint, hook_id integer, attempts integer) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into jobhooks.delivery (change_id, hook_id, status, attempts)
    values (park_dead.change_id, park_dead.hook_id, 'dead', park_dead.attempts)
    on conflict (change_id, hook_id) do update set status = 'dead', attempts = excluded.attempts, due_at = null
$$;

COMMENT ON FUNCTION jobhooks.park_dead(change_id bigint, hook_id integer, attempts integer) IS 'Keep a failed delivery as a debt that waits for a decision';

CREATE FUNCTION jobhooks.primary_key(relation regclass) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select array_agg(attribute.attname::text order by key.position)
    from pg_index as index
    cross join unnest(index.indkey) with ordinality as key (attnum, position)
    join pg_attribute as attribute on attribute.attrelid = index.indrelid and attribute.attnum = key.attnum
    where index.indrelid = relation and index.indisprimary and key.position <= index.indnkeyatts
$$;

COMMENT ON FUNCTION jobhooks.primary_key(relation regclass) IS 'The columns of a table''s primary key, in its order; null where it has none';

CREATE FUNCTION jobhooks.record_result(change_id bigint, hook_id integer, attempt integer, status text, started_at timestamp with time zone, error text, traceback text, log_entries json, in_receivers_transaction boolean) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    delivery constant text := format('%s:%s:%s', change_id, hook_id, attempt);
    job_result_id bigint;
begin
    if in_receivers_transaction and current_setting('jobhooks.delivery', true) is distinct from delivery then
        raise exception 'the receiver ended the transaction that it was given, or changed its mark'
        using errcode = 'JH011';
    end if;

    insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at, error, traceback)
    select
        record_result.change_id, record_result.hook_id, hook.job_id, record_result.attempt, record_result.status,
        record_result.started_at, record_result.error, record_result.traceback
    from jobhooks.job_hook as hook
    where hook.id = record_result.hook_id
    on conflict on constraint job_result_once do nothing
    returning id into job_result_id;
    if job_result_id is null then
        raise exception 'delivery % is already settled, or its hook is gone', delivery using errcode = 'JH010';
    end if;

    insert into jobhooks.job_log_entry (job_result_id, line, level, time, object, message)
    select
        job_result_id, entry.line, entry.value ->> 'level', (entry.value ->> 'time')::timestamptz,
        entry.value ->> 'object', entry.value ->> 'message'
    from json_array_elements(log_entries) with ordinality as entry (value, line);
    return job_result_id;
end
$$;

COMMENT ON FUNCTION jobhooks.record_result(change_id bigint, hook_id integer, attempt integer, status text, started_at timestamp with time zone, error text, traceback text, log_entries json, in_receivers_transaction boolean) IS 'Record what an attempt at a delivery did, with its log lines; returns the result''s id';

CREATE FUNCTION jobhooks.register_jobs(found json, complete boolean) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    insert into jobhooks.job as job (class_path, name, description, soft_time_limit_s, time_limit_s)
    select receiver.class_path, receiver.name, receiver.description, receiver.soft_time_limit_s, receiver.time_limit_s
    from json_to_recordset(register_jobs.found) as receiver (
        class_path text, name text, description text, soft_time_limit_s double precision, time_limit_s double precision
    )
    on conflict (class_path) do update
    set name = excluded.name,
        description = excluded.description,
        soft_time_limit_s = excluded.soft_time_limit_s,
        time_limit_s = excluded.time_limit_s,
        installed = true
    where (job.name, job.description, job.soft_time_limit_s, job.time_limit_s, job.installed)
        is distinct from (
            excluded.name, excluded.description, excluded.soft_time_limit_s, excluded.time_limit_s, true
        );

    update jobhooks.job
    set installed = false
    where register_jobs.complete
        and installed
        and class_path not in (select value ->> 'class_path' from json_array_elements(register_jobs.found));
$$;

COMMENT ON FUNCTION jobhooks.register_jobs(found json, complete boolean) IS 'Bring the jobs in line with the receivers that were found';

CREATE FUNCTION jobhooks.table_name(relation regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
    select format('%I.%I', namespace.nspname, class.relname)
    from pg_class as class
    join pg_namespace as namespace on namespace.oid = class.relnamespace
    where class.oid = relation
$$;

COMMENT ON FUNCTION jobhooks.table_name(relation regclass) IS 'schema.table, quoted where SQL needs it; null once the table is gone';

CREATE FUNCTION jobhooks.unwatch(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
    table_name constant text := jobhooks.table_name(relation);
begin
    update jobhooks.content_type as content_type
    set watched = false
    where content_type.relation = unwatch.relation and content_type.watched;
    if not found then
        raise exception 'cannot unwatch %: it is not watched', table_name using errcode = 'JH002';
    end if;
    execute format('drop trigger if exists "!jobhooks_capture" on %s', table_name);
    execute format('drop trigger if exists "!jobhooks_capture_update" on %s', table_name);
    execute format('drop trigger if exists "!jobhooks_capture_truncate" on %s', table_name);
end
$$;

COMMENT ON FUNCTION jobhooks.unwatch(relation regclass) IS 'Stop watching a table; what was captured stays, and is still delivered';

CREATE FUNCTION jobhooks.watch(relation regclass, key text[] DEFAULT NULL::text[], keyless boolean DEFAULT false, always boolean DEFAULT false) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION jobhooks.watch(relation regclass, key text[], keyless boolean, always boolean) IS 'Watch a table, or change how it is watched; returns the id of its content type';

CREATE TABLE jobhooks.content_type (
    id integer NOT NULL,
    relation regclass NOT NULL,
    name text NOT NULL,
    key_columns text[] NOT NULL,
    always boolean DEFAULT false NOT NULL,
    watched boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE jobhooks.content_type IS 'The watched tables. A row stays when its table is no longer watched: changes and hooks refer to it';

COMMENT ON COLUMN jobhooks.content_type.relation IS 'Follows the table through renames; a number once the table is gone';

COMMENT ON COLUMN jobhooks.content_type.name IS 'schema.table when it was last watched; tells what a table was once it is gone';

COMMENT ON COLUMN jobhooks.content_type.key_columns IS 'What identifies an object, in order; empty: the table is watched without object identity, ordered as a whole';

COMMENT ON COLUMN jobhooks.content_type.always IS 'Rows that logical replication applies are captured too';

ALTER TABLE jobhooks.content_type ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE jobhooks.cursor (
    singleton boolean DEFAULT true NOT NULL,
    seen pg_snapshot NOT NULL,
    seen_floor bigint NOT NULL,
    horizon pg_snapshot NOT NULL,
    horizon_floor bigint NOT NULL,
    last_id bigint DEFAULT 0 NOT NULL,
    first_id bigint DEFAULT 0 NOT NULL,
    system_identifier bigint NOT NULL,
    database_oid oid NOT NULL,
    saved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT cursor_check CHECK ((horizon_floor >= seen_floor)),
    CONSTRAINT cursor_first_id_check CHECK ((first_id >= 0)),
    CONSTRAINT cursor_last_id_check CHECK ((last_id >= 0)),
    CONSTRAINT cursor_seen_floor_check CHECK ((seen_floor >= 0)),
    CONSTRAINT cursor_singleton_check CHECK (singleton)
);

COMMENT ON TABLE jobhooks.cursor IS 'One row: how far the log has been read';

COMMENT ON COLUMN jobhooks.cursor.seen IS 'What is visible in it has been settled or parked';

COMMENT ON COLUMN jobhooks.cursor.seen_floor IS 'Every change by a transaction at or above the xmax of the seen snapshot has a greater id';

COMMENT ON COLUMN jobhooks.cursor.horizon IS 'The end of the window being worked on: visible in it and not in seen';

COMMENT ON COLUMN jobhooks.cursor.last_id IS 'The position inside the window';

COMMENT ON COLUMN jobhooks.cursor.first_id IS 'Changes up to it belong to the database that this one was copied from, and are never read here';

COMMENT ON COLUMN jobhooks.cursor.system_identifier IS 'With database_oid: whose transactions the snapshots speak of, so that a copy of the database is noticed';

CREATE TABLE jobhooks.delivery (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    status text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT delivery_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT delivery_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'dead'::text]))),
    CONSTRAINT waiting_is_due CHECK (((status = 'waiting'::text) = (due_at IS NOT NULL)))
);

COMMENT ON TABLE jobhooks.delivery IS 'Debts only: deliveries that were parked and are not settled';

COMMENT ON COLUMN jobhooks.delivery.status IS 'waiting: will be attempted when due; dead: kept until someone decides';

CREATE TABLE jobhooks.installation (
    singleton boolean DEFAULT true NOT NULL,
    program_version text NOT NULL,
    functions_digest text NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_singleton_check CHECK (singleton)
);

COMMENT ON TABLE jobhooks.installation IS 'One row: the program whose functions this database has';

COMMENT ON COLUMN jobhooks.installation.functions_digest IS 'A digest of functions/ and grants.sql, so that a program meets no functions but its own';

CREATE TABLE jobhooks.job (
    id integer NOT NULL,
    class_path text NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    soft_time_limit_s double precision,
    time_limit_s double precision,
    installed boolean DEFAULT true NOT NULL,
    enabled boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_class_path_check CHECK ((class_path ~ '^[^.]+(\.[^.]+)+$'::text)),
    CONSTRAINT job_name_check CHECK ((name <> ''::text)),
    CONSTRAINT job_soft_time_limit_s_check CHECK ((soft_time_limit_s > (0)::double precision)),
    CONSTRAINT job_time_limit_s_check CHECK ((time_limit_s > (0)::double precision))
);

COMMENT ON TABLE jobhooks.job IS 'The receivers that were found: installed says that one is there, enabled that it may run';

COMMENT ON COLUMN jobhooks.job.class_path IS 'module.Class, as in the receivers directory';

CREATE TABLE jobhooks.job_hook (
    id integer NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    job_id integer NOT NULL,
    events jobhooks.action[] NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    enabled_since pg_snapshot DEFAULT pg_current_snapshot() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT job_hook_events_check CHECK ((cardinality(events) > 0)),
    CONSTRAINT job_hook_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255)))
);

COMMENT ON TABLE jobhooks.job_hook IS 'The rules: changes of these tables, by these events, run this job';

COMMENT ON COLUMN jobhooks.job_hook.enabled_since IS 'Taken when the hook was last enabled: what is visible in it happened before, and does not fire';

CREATE TABLE jobhooks.job_hook_content_type (
    job_hook_id integer NOT NULL,
    content_type_id integer NOT NULL
);

COMMENT ON TABLE jobhooks.job_hook_content_type IS 'Which tables a hook is for';

ALTER TABLE jobhooks.job_hook ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.job_hook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE jobhooks.job ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.job_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE jobhooks.job_log_entry (
    job_result_id bigint NOT NULL,
    line integer NOT NULL,
    level text NOT NULL,
    "time" timestamp with time zone NOT NULL,
    object text,
    message text NOT NULL,
    CONSTRAINT job_log_entry_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'success'::text, 'warning'::text, 'failure'::text]))),
    CONSTRAINT job_log_entry_line_check CHECK ((line > 0))
);

COMMENT ON TABLE jobhooks.job_log_entry IS 'The lines that receivers logged';

COMMENT ON COLUMN jobhooks.job_log_entry.object IS 'What the line is about, where the receiver named it';

CREATE TABLE jobhooks.job_result (
    id bigint NOT NULL,
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    job_id integer NOT NULL,
    attempt integer NOT NULL,
    status text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    error text,
    traceback text,
    CONSTRAINT failure_has_an_error CHECK (((status = 'failure'::text) = (error IS NOT NULL))),
    CONSTRAINT job_result_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT job_result_status_check CHECK ((status = ANY (ARRAY['success'::text, 'failure'::text])))
);

COMMENT ON TABLE jobhooks.job_result IS 'What each attempt at a delivery did. The row is the acknowledgement: it commits with what the receiver wrote';

ALTER TABLE jobhooks.job_result ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.job_result_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE jobhooks.migration (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT migration_version_check CHECK ((version > 0))
);

COMMENT ON TABLE jobhooks.migration IS 'The numbered migrations that this database has';

CREATE TABLE jobhooks.object_change (
    id bigint NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    caused_by_change_id bigint,
    caused_by_hook_id integer,
    caused_by_attempt integer,
    content_type_id integer NOT NULL,
    action jobhooks.action NOT NULL,
    triggering boolean DEFAULT true NOT NULL,
    session_role text DEFAULT SESSION_USER NOT NULL,
    user_name text,
    request_id text,
    refused_mark text,
    snapshot_error text,
    object_key json,
    prechange json,
    postchange json,
    CONSTRAINT cause_is_whole CHECK ((num_nulls(caused_by_change_id, caused_by_hook_id, caused_by_attempt) = ANY (ARRAY[0, 3]))),
    CONSTRAINT caused_does_not_trigger CHECK (((caused_by_change_id IS NULL) OR (NOT triggering))),
    CONSTRAINT snapshots_fit_action CHECK ((((prechange IS NOT NULL) = ((action = ANY (ARRAY['update'::jobhooks.action, 'delete'::jobhooks.action])) AND (snapshot_error IS NULL))) AND ((postchange IS NOT NULL) = ((action = ANY (ARRAY['create'::jobhooks.action, 'update'::jobhooks.action])) AND (snapshot_error IS NULL)))))
)
PARTITION BY RANGE (id);

COMMENT ON TABLE jobhooks.object_change IS 'The log: one row for each captured row change';

COMMENT ON COLUMN jobhooks.object_change.transaction_id IS 'The top-level transaction that made the change';

COMMENT ON COLUMN jobhooks.object_change.caused_by_change_id IS 'With hook and attempt: the run whose receiver made this change';

COMMENT ON COLUMN jobhooks.object_change.triggering IS 'False for what a receiver wrote: recorded, and no hook runs for it';

COMMENT ON COLUMN jobhooks.object_change.session_role IS 'The role that connected';

COMMENT ON COLUMN jobhooks.object_change.user_name IS 'Who, as the application said it: set local jobhooks.user_name';

COMMENT ON COLUMN jobhooks.object_change.request_id IS 'Why, as the application said it: set local jobhooks.request_id';

COMMENT ON COLUMN jobhooks.object_change.refused_mark IS 'A receiver''s mark from a session that may not carry one: ignored, and kept here as evidence';

COMMENT ON COLUMN jobhooks.object_change.snapshot_error IS 'Why the row could not be written down as json; then object_key stands in for the snapshots';

COMMENT ON COLUMN jobhooks.object_change.prechange IS 'The row before, as json: null on create and truncate';

COMMENT ON COLUMN jobhooks.object_change.postchange IS 'The row after, as json: null on delete and truncate';

CREATE SEQUENCE jobhooks.object_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE jobhooks.object_change_id_seq OWNED BY jobhooks.object_change.id;

COMMENT ON SEQUENCE jobhooks.object_change_id_seq IS 'Numbers the changes in the order in which they were captured';

CREATE TABLE jobhooks.object_change_1 (
    id bigint DEFAULT nextval('jobhooks.object_change_id_seq'::regclass) CONSTRAINT object_change_id_not_null NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() CONSTRAINT object_change_transaction_id_not_null NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT object_change_time_not_null NOT NULL,
    caused_by_change_id bigint,
    caused_by_hook_id integer,
    caused_by_attempt integer,
    content_type_id integer CONSTRAINT object_change_content_type_id_not_null NOT NULL,
    action jobhooks.action CONSTRAINT object_change_action_not_null NOT NULL,
    triggering boolean DEFAULT true CONSTRAINT object_change_triggering_not_null NOT NULL,
    session_role text DEFAULT SESSION_USER CONSTRAINT object_change_session_role_not_null NOT NULL,
    user_name text,
    request_id text,
    refused_mark text,
    snapshot_error text,
    object_key json,
    prechange json,
    postchange json,
    CONSTRAINT cause_is_whole CHECK ((num_nulls(caused_by_change_id, caused_by_hook_id, caused_by_attempt) = ANY (ARRAY[0, 3]))),
    CONSTRAINT caused_does_not_trigger CHECK (((caused_by_change_id IS NULL) OR (NOT triggering))),
    CONSTRAINT snapshots_fit_action CHECK ((((prechange IS NOT NULL) = ((action = ANY (ARRAY['update'::jobhooks.action, 'delete'::jobhooks.action])) AND (snapshot_error IS NULL))) AND ((postchange IS NOT NULL) = ((action = ANY (ARRAY['create'::jobhooks.action, 'update'::jobhooks.action])) AND (snapshot_error IS NULL)))))
);

COMMENT ON TABLE jobhooks.object_change_1 IS 'The first ten million changes';

CREATE TABLE jobhooks.object_change_default (
    id bigint DEFAULT nextval('jobhooks.object_change_id_seq'::regclass) CONSTRAINT object_change_id_not_null NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() CONSTRAINT object_change_transaction_id_not_null NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT object_change_time_not_null NOT NULL,
    caused_by_change_id bigint,
    caused_by_hook_id integer,
    caused_by_attempt integer,
    content_type_id integer CONSTRAINT object_change_content_type_id_not_null NOT NULL,
    action jobhooks.action CONSTRAINT object_change_action_not_null NOT NULL,
    triggering boolean DEFAULT true CONSTRAINT object_change_triggering_not_null NOT NULL,
    session_role text DEFAULT SESSION_USER CONSTRAINT object_change_session_role_not_null NOT NULL,
    user_name text,
    request_id text,
    refused_mark text,
    snapshot_error text,
    object_key json,
    prechange json,
    postchange json,
    CONSTRAINT cause_is_whole CHECK ((num_nulls(caused_by_change_id, caused_by_hook_id, caused_by_attempt) = ANY (ARRAY[0, 3]))),
    CONSTRAINT caused_does_not_trigger CHECK (((caused_by_change_id IS NULL) OR (NOT triggering))),
    CONSTRAINT snapshots_fit_action CHECK ((((prechange IS NOT NULL) = ((action = ANY (ARRAY['update'::jobhooks.action, 'delete'::jobhooks.action])) AND (snapshot_error IS NULL))) AND ((postchange IS NOT NULL) = ((action = ANY (ARRAY['create'::jobhooks.action, 'update'::jobhooks.action])) AND (snapshot_error IS NULL)))))
);

COMMENT ON TABLE jobhooks.object_change_default IS 'The net: changes for which no partition was made ahead';

ALTER TABLE ONLY jobhooks.object_change ATTACH PARTITION jobhooks.object_change_1 FOR VALUES FROM ('1') TO ('10000001');

ALTER TABLE ONLY jobhooks.object_change ATTACH PARTITION jobhooks.object_change_default DEFAULT;

ALTER TABLE ONLY jobhooks.object_change ALTER COLUMN id SET DEFAULT nextval('jobhooks.object_change_id_seq'::regclass);

ALTER TABLE ONLY jobhooks.content_type
    ADD CONSTRAINT content_type_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.content_type
    ADD CONSTRAINT content_type_relation_key UNIQUE (relation);

ALTER TABLE ONLY jobhooks.cursor
    ADD CONSTRAINT cursor_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY jobhooks.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (change_id, hook_id);

ALTER TABLE ONLY jobhooks.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY jobhooks.job
    ADD CONSTRAINT job_class_path_key UNIQUE (class_path);

ALTER TABLE ONLY jobhooks.job_hook_content_type
    ADD CONSTRAINT job_hook_content_type_pkey PRIMARY KEY (job_hook_id, content_type_id);

ALTER TABLE ONLY jobhooks.job_hook
    ADD CONSTRAINT job_hook_name_key UNIQUE (name);

ALTER TABLE ONLY jobhooks.job_hook
    ADD CONSTRAINT job_hook_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.job_log_entry
    ADD CONSTRAINT job_log_entry_pkey PRIMARY KEY (job_result_id, line);

ALTER TABLE ONLY jobhooks.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.job_result
    ADD CONSTRAINT job_result_once UNIQUE (change_id, hook_id, attempt);

ALTER TABLE ONLY jobhooks.job_result
    ADD CONSTRAINT job_result_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY jobhooks.object_change
    ADD CONSTRAINT object_change_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.object_change_1
    ADD CONSTRAINT object_change_1_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.object_change_default
    ADD CONSTRAINT object_change_default_pkey PRIMARY KEY (id);

CREATE INDEX object_change_transaction_id_idx ON ONLY jobhooks.object_change USING btree (transaction_id, id);

CREATE INDEX object_change_1_transaction_id_id_idx ON jobhooks.object_change_1 USING btree (transaction_id, id);

CREATE INDEX object_change_default_transaction_id_id_idx ON jobhooks.object_change_default USING btree (transaction_id, id);

ALTER INDEX jobhooks.object_change_pkey ATTACH PARTITION jobhooks.object_change_1_pkey;

ALTER INDEX jobhooks.object_change_transaction_id_idx ATTACH PARTITION jobhooks.object_change_1_transaction_id_id_idx;

ALTER INDEX jobhooks.object_change_pkey ATTACH PARTITION jobhooks.object_change_default_pkey;

ALTER INDEX jobhooks.object_change_transaction_id_idx ATTACH PARTITION jobhooks.object_change_default_transaction_id_id_idx;

CREATE TRIGGER note_hook_enabled BEFORE UPDATE ON jobhooks.job_hook FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION jobhooks.note_hook_enabled();

CREATE TRIGGER note_job_enabled AFTER UPDATE ON jobhooks.job FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION jobhooks.note_job_enabled();

ALTER TABLE ONLY jobhooks.job_hook_content_type
    ADD CONSTRAINT job_hook_content_type_content_type_id_fkey FOREIGN KEY (content_type_id) REFERENCES jobhooks.content_type(id);

ALTER TABLE ONLY jobhooks.job_hook_content_type
    ADD CONSTRAINT job_hook_content_type_job_hook_id_fkey FOREIGN KEY (job_hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.job_hook
    ADD CONSTRAINT job_hook_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobhooks.job(id);

ALTER TABLE ONLY jobhooks.job_log_entry
    ADD CONSTRAINT job_log_entry_job_result_id_fkey FOREIGN KEY (job_result_id) REFERENCES jobhooks.job_result(id) ON DELETE CASCADE;

GRANT USAGE ON SCHEMA jobhooks TO jobhooks_capture;

REVOKE ALL ON FUNCTION jobhooks.add_hook(name text, content_types text[], events text[], job text, description text) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.adopt() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.capture_change() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.capture_change() TO postgres;

REVOKE ALL ON FUNCTION jobhooks.check_watchable(relation regclass, key_columns text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.enable_job(class_path text, enabled boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.may_mark() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_capture;

REVOKE ALL ON FUNCTION jobhooks.note_hook_enabled() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.note_job_enabled() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.object_key(object record, key_columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.object_key(object record, key_columns text[]) TO jobhooks_capture;

REVOKE ALL ON FUNCTION jobhooks.park_dead(change_id bigint, hook_id integer, attempts integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.primary_key(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.record_result(change_id bigint, hook_id integer, attempt integer, status text, started_at timestamp with time zone, error text, traceback text, log_entries json, in_receivers_transaction boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.register_jobs(found json, complete boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.table_name(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.unwatch(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.watch(relation regclass, key text[], keyless boolean, always boolean) FROM PUBLIC;

GRANT INSERT ON TABLE jobhooks.object_change TO jobhooks_capture;

GRANT USAGE ON SEQUENCE jobhooks.object_change_id_seq TO jobhooks_capture;
