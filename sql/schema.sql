-- The schema after all migrations, without the functions: for reading, written by make generate.

CREATE SCHEMA jobhooks;

COMMENT ON SCHEMA jobhooks IS 'Job Hooks: row changes, the hooks that match them, and what their receivers did';

CREATE TYPE jobhooks.action AS ENUM (
    'create',
    'update',
    'delete',
    'truncate'
);

COMMENT ON TYPE jobhooks.action IS 'What happened to a row; truncate happened to the whole table';

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
