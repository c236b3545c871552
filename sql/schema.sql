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

CREATE TABLE jobhooks.object_change (
    id bigint CONSTRAINT object_change_id_not_null1 NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() CONSTRAINT object_change_transaction_id_not_null1 NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() CONSTRAINT object_change_time_not_null1 NOT NULL,
    content_type_id integer CONSTRAINT object_change_content_type_id_not_null1 NOT NULL,
    action jobhooks.action CONSTRAINT object_change_action_not_null1 NOT NULL,
    triggering boolean CONSTRAINT object_change_triggering_not_null1 NOT NULL,
    session_role text DEFAULT current_setting('session_authorization'::text) CONSTRAINT object_change_session_role_not_null1 NOT NULL,
    context json,
    prechange json,
    postchange json
);

COMMENT ON TABLE jobhooks.object_change IS 'The log: one row for each captured row change. Itself empty: the rows are in the segments, which inherit from it';

COMMENT ON COLUMN jobhooks.object_change.id IS 'Rises in the order in which the rows were written; numbers can be missing';

COMMENT ON COLUMN jobhooks.object_change.transaction_id IS 'The top-level transaction that made the change';

COMMENT ON COLUMN jobhooks.object_change."time" IS 'When the row was written, which may be long before its transaction committed';

COMMENT ON COLUMN jobhooks.object_change.content_type_id IS 'Which table: jobhooks.content_type';

COMMENT ON COLUMN jobhooks.object_change.action IS 'create, update, delete; or truncate, of the whole table';

COMMENT ON COLUMN jobhooks.object_change.triggering IS 'False for what a receiver wrote: recorded, and no hook runs for it';

COMMENT ON COLUMN jobhooks.object_change.session_role IS 'The role that connected';

COMMENT ON COLUMN jobhooks.object_change.context IS 'What else there is to say, null if nothing: user_name and request_id as the application said them; caused_by, the run
(change, hook, attempt) of the receiver that made the change; refused_mark, from a session that may not carry one;
snapshot_error, why the row could not be written as json, and then object_key; partition, if it alone was truncated';

COMMENT ON COLUMN jobhooks.object_change.prechange IS 'The row before, as json: null on create and truncate';

COMMENT ON COLUMN jobhooks.object_change.postchange IS 'The row after, as json: null on delete and truncate';

CREATE TABLE jobhooks.job (
    id integer NOT NULL,
    class_path text NOT NULL,
    installed boolean DEFAULT true NOT NULL,
    enabled boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    overrides jsonb DEFAULT '{}'::jsonb NOT NULL,
    settings jsonb DEFAULT '{}'::jsonb NOT NULL,
    data_schema jsonb,
    CONSTRAINT job_class_path_check CHECK ((class_path ~ '^[^.]+(\.[^.]+)+$'::text)),
    CONSTRAINT job_overrides_check CHECK ((jsonb_typeof(overrides) = 'object'::text)),
    CONSTRAINT job_settings_check CHECK ((jsonb_typeof(settings) = 'object'::text))
);

COMMENT ON TABLE jobhooks.job IS 'The receivers that were found: installed says that one is there, enabled that it may run';

COMMENT ON COLUMN jobhooks.job.id IS 'Its number in hooks and results';

COMMENT ON COLUMN jobhooks.job.class_path IS 'module.Class, as in the receivers directory';

COMMENT ON COLUMN jobhooks.job.installed IS 'Whether the daemon finds the receiver';

COMMENT ON COLUMN jobhooks.job.enabled IS 'Whether it may run: jobhooks job enable';

COMMENT ON COLUMN jobhooks.job.created_at IS 'When the receiver was first found';

COMMENT ON COLUMN jobhooks.job.overrides IS 'What an operator sets instead of the receiver, by the names of Meta: jobhooks job set, jobhooks job reset';

COMMENT ON COLUMN jobhooks.job.settings IS 'What the receiver states in its class Meta, by the names of Meta';

COMMENT ON COLUMN jobhooks.job.data_schema IS 'The JSON Schema of the class Data of its receiver; null: it has none';

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
    leader bigint DEFAULT 0 NOT NULL,
    leader_since timestamp with time zone,
    leader_process text,
    leader_ended boolean DEFAULT true NOT NULL,
    leader_pid integer,
    leader_lock bigint,
    place json,
    refused_place json,
    refused_at timestamp with time zone,
    doubted_processes text[] DEFAULT '{}'::text[] NOT NULL,
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

COMMENT ON COLUMN jobhooks.cursor.leader IS 'Counts the daemons that have led. A daemon that finds another number than its own leads no more';

COMMENT ON COLUMN jobhooks.cursor.leader_since IS 'When the last daemon to lead began to; whether it still does, its lock tells';

COMMENT ON COLUMN jobhooks.cursor.leader_process IS 'Identifies the process that led last';

COMMENT ON COLUMN jobhooks.cursor.leader_ended IS 'Whether it ended by itself; otherwise it leads, or has died';

COMMENT ON COLUMN jobhooks.cursor.leader_pid IS 'The session of the last daemon to lead; whether it still does, leader_session() tells';

COMMENT ON COLUMN jobhooks.cursor.leader_lock IS 'The random advisory lock that this session holds until it ends';

COMMENT ON COLUMN jobhooks.cursor.place IS 'Where the daemon that leads was configured to connect: environment, hosts and database; null: the next one to lead records it';

COMMENT ON COLUMN jobhooks.cursor.refused_place IS 'Where a daemon was configured to connect that delivered nothing, because the place is another one';

COMMENT ON COLUMN jobhooks.cursor.refused_at IS 'When that was';

COMMENT ON COLUMN jobhooks.cursor.doubted_processes IS 'The processes that led before, did not note their end, and have neither been seen since nor been judged dead';

CREATE TABLE jobhooks.job_hook (
    id integer NOT NULL,
    name text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    job_id integer NOT NULL,
    events jobhooks.action[] NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    enabled_since pg_snapshot DEFAULT pg_current_snapshot() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    columns text[] DEFAULT '{}'::text[] NOT NULL,
    conditions text DEFAULT ''::text NOT NULL,
    coalesce_s double precision,
    priority integer DEFAULT 0 NOT NULL,
    paused boolean DEFAULT false NOT NULL,
    roles text[] DEFAULT '{}'::text[] NOT NULL,
    debounce_s double precision,
    longest_wait_s double precision,
    rate text DEFAULT ''::text NOT NULL,
    rate_per text[] DEFAULT '{}'::text[] NOT NULL,
    data jsonb DEFAULT '{}'::jsonb NOT NULL,
    chain_depth integer DEFAULT 0 NOT NULL,
    CONSTRAINT job_hook_chain_depth_check CHECK (((chain_depth >= 0) AND (chain_depth <= 10))),
    CONSTRAINT job_hook_coalesce_s_check CHECK (((coalesce_s = ('-1'::integer)::double precision) OR ((coalesce_s >= (0)::double precision) AND (coalesce_s <= (86400)::double precision)))),
    CONSTRAINT job_hook_debounce_s_check CHECK (((debounce_s > (0)::double precision) AND (debounce_s <= (86400)::double precision))),
    CONSTRAINT job_hook_events_check CHECK ((cardinality(events) > 0)),
    CONSTRAINT job_hook_longest_wait_s_check CHECK (((longest_wait_s > (0)::double precision) AND (longest_wait_s <= (86400)::double precision))),
    CONSTRAINT job_hook_name_check CHECK (((length(name) >= 1) AND (length(name) <= 255))),
    CONSTRAINT job_hook_rate_check CHECK ((rate ~ '^([1-9][0-9]{0,5}/(s|min|h|day))?$'::text))
);

COMMENT ON TABLE jobhooks.job_hook IS 'The rules: changes of these tables, by these events, run this job';

COMMENT ON COLUMN jobhooks.job_hook.id IS 'Its number in deliveries and results';

COMMENT ON COLUMN jobhooks.job_hook.name IS 'Its name for people and commands';

COMMENT ON COLUMN jobhooks.job_hook.description IS 'Its purpose';

COMMENT ON COLUMN jobhooks.job_hook.job_id IS 'The job that it runs: jobhooks.job';

COMMENT ON COLUMN jobhooks.job_hook.events IS 'The actions for which it runs';

COMMENT ON COLUMN jobhooks.job_hook.enabled IS 'Whether changes lead to runs; the job must also be enabled';

COMMENT ON COLUMN jobhooks.job_hook.enabled_since IS 'Taken when the hook was last enabled: what is visible in it happened before, and does not fire';

COMMENT ON COLUMN jobhooks.job_hook.created_at IS 'When it was added';

COMMENT ON COLUMN jobhooks.job_hook.columns IS 'An update fires only if one of these columns changed; empty: whichever changed';

COMMENT ON COLUMN jobhooks.job_hook.conditions IS 'An expression in CEL that a change must satisfy; empty: none';

COMMENT ON COLUMN jobhooks.job_hook.coalesce_s IS 'Changes of an object are delivered as one: those of one transaction (0), of one request (-1), or of so many seconds; null: each by itself';

COMMENT ON COLUMN jobhooks.job_hook.priority IS 'In lists the higher is before the lower; it changes nothing else';

COMMENT ON COLUMN jobhooks.job_hook.paused IS 'Runs nothing, and continues at its position when it is resumed: jobhooks hook pause';

COMMENT ON COLUMN jobhooks.job_hook.roles IS 'Only changes of sessions that logged in as one of these roles trigger it; empty: all';

COMMENT ON COLUMN jobhooks.job_hook.debounce_s IS 'Changes of an object are delivered as one, when this number of seconds has passed without another; null: they are not, or 1 if coalesce_s is -1';

COMMENT ON COLUMN jobhooks.job_hook.longest_wait_s IS 'With debounce_s: they are delivered this number of seconds after the first one at the latest; null: ten times debounce_s';

COMMENT ON COLUMN jobhooks.job_hook.rate IS 'At most so many deliveries begin in that time, such as 30/min; empty: any number';

COMMENT ON COLUMN jobhooks.job_hook.rate_per IS 'With rate: each value of these columns has the rate for itself, or each object, if it is object; empty: all share it';

COMMENT ON COLUMN jobhooks.job_hook.data IS 'What it passes to its receiver: self.hook.data. Viewers can read it';

COMMENT ON COLUMN jobhooks.job_hook.chain_depth IS 'It also runs for changes that receivers wrote, up to this number of runs away from the change of an application; 0: for none';

CREATE SEQUENCE jobhooks.object_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE jobhooks.object_change_id_seq OWNED BY jobhooks.object_change.id;

COMMENT ON SEQUENCE jobhooks.object_change_id_seq IS 'Numbers the changes in the order in which they were captured';

CREATE VIEW jobhooks.backlog AS
 SELECT NULL::text AS hook,
    'unread'::text AS status,
    GREATEST((( SELECT
                CASE
                    WHEN object_change_id_seq.is_called THEN object_change_id_seq.last_value
                    ELSE (0)::bigint
                END AS "case"
           FROM jobhooks.object_change_id_seq) - GREATEST(cursor.horizon_floor, cursor.last_id, cursor.first_id)), (0)::bigint) AS changes,
    ( SELECT change."time"
           FROM jobhooks.object_change change
          WHERE (change.id > GREATEST(cursor.horizon_floor, cursor.last_id, cursor.first_id))
          ORDER BY change.id
         LIMIT 1) AS oldest,
    'unread'::text AS state
   FROM jobhooks.cursor
UNION ALL
 SELECT hook.name AS hook,
    'unread'::text AS status,
    lagging.changes,
    lagging.oldest,
    'unread'::text AS state
   FROM (jobhooks.lagging_hooks() lagging(hook_id, changes, oldest, held_changes, held_bytes, held_since)
     JOIN jobhooks.job_hook hook ON ((hook.id = lagging.hook_id)))
UNION ALL
 SELECT hook.name AS hook,
    delivery.status,
    count(*) AS changes,
    min(delivery.parked_at) AS oldest,
    delivery.state
   FROM (jobhooks.delivery_states() delivery(change_id, hook_id, content_type_id, lane, other_lane, blocks, status, behind, attempts, failures, due_at, parked_at, state, waits_for, started_at, host, pid, worker_pid, cancelled)
     LEFT JOIN jobhooks.job_hook hook ON ((hook.id = delivery.hook_id)))
  GROUP BY hook.name, delivery.status, delivery.state;

COMMENT ON VIEW jobhooks.backlog IS 'Pending deliveries: unread changes, and the backlog of each hook';

COMMENT ON COLUMN jobhooks.backlog.hook IS 'The hook; null for what the hooks that read together have not read, and for deleted hooks';

COMMENT ON COLUMN jobhooks.backlog.status IS 'unread, or of pending deliveries: waiting, blocked by an older one, dead';

COMMENT ON COLUMN jobhooks.backlog.changes IS 'How many; an estimate for unread changes';

COMMENT ON COLUMN jobhooks.backlog.oldest IS 'When the oldest of them was recorded';

COMMENT ON COLUMN jobhooks.backlog.state IS 'unread, or the state of pending deliveries as delivery list shows it';

CREATE TABLE jobhooks.broken_module (
    module text NOT NULL,
    path text NOT NULL,
    line integer,
    error text NOT NULL
);

COMMENT ON TABLE jobhooks.broken_module IS 'The modules that this daemon could not import, and classes in them that are no valid receivers';

COMMENT ON COLUMN jobhooks.broken_module.line IS 'The first line of the module that failed; null if there is none';

CREATE TABLE jobhooks.capture_template (
    function text NOT NULL,
    definition text NOT NULL
);

COMMENT ON TABLE jobhooks.capture_template IS 'The functions that write changes to the log, with a placeholder for its newest segment';

COMMENT ON COLUMN jobhooks.capture_template.function IS 'Its name and the types of its arguments';

COMMENT ON COLUMN jobhooks.capture_template.definition IS 'The statement that creates it, with {segment} for the number of the segment';

CREATE TABLE jobhooks.chain_end (
    hook_id integer NOT NULL,
    changes bigint NOT NULL,
    change_id bigint NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE jobhooks.chain_end IS 'Hooks that did not run for changes because these were deeper in a chain than their chain_depth';

COMMENT ON COLUMN jobhooks.chain_end.changes IS 'About how many changes, since the chain_depth was set';

COMMENT ON COLUMN jobhooks.chain_end.change_id IS 'The last of them';

COMMENT ON COLUMN jobhooks.chain_end."time" IS 'When the daemon last counted one';

CREATE TABLE jobhooks.content_type (
    id integer NOT NULL,
    relation regclass NOT NULL,
    name text NOT NULL,
    key_columns text[] NOT NULL,
    always boolean DEFAULT false NOT NULL,
    watched boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    exclude text[] DEFAULT '{}'::text[] NOT NULL,
    ignore text[] DEFAULT '{}'::text[] NOT NULL,
    triggers text[] DEFAULT '{}'::text[] NOT NULL,
    partitions oid[] DEFAULT '{}'::oid[] NOT NULL,
    keep_lastval boolean
);

COMMENT ON TABLE jobhooks.content_type IS 'The watched tables. A row stays when its table is no longer watched: changes and hooks refer to it';

COMMENT ON COLUMN jobhooks.content_type.id IS 'The number of the table in changes, hooks and deliveries';

COMMENT ON COLUMN jobhooks.content_type.relation IS 'Follows the table through renames; a number once the table is gone';

COMMENT ON COLUMN jobhooks.content_type.name IS 'schema.table when it was last watched; tells what a table was once it is gone';

COMMENT ON COLUMN jobhooks.content_type.key_columns IS 'What identifies an object, in order; empty: the table is watched without object identity, ordered as a whole';

COMMENT ON COLUMN jobhooks.content_type.always IS 'Rows that logical replication applies are captured too';

COMMENT ON COLUMN jobhooks.content_type.watched IS 'False after jobhooks.unwatch: its changes are no longer captured';

COMMENT ON COLUMN jobhooks.content_type.created_at IS 'When it was first watched';

COMMENT ON COLUMN jobhooks.content_type.exclude IS 'Columns that are left out of the snapshots';

COMMENT ON COLUMN jobhooks.content_type.ignore IS 'Columns that make no change, and are in no differences';

COMMENT ON COLUMN jobhooks.content_type.triggers IS 'The statements that made the triggers; other ones today: watch the table again';

COMMENT ON COLUMN jobhooks.content_type.partitions IS 'The partitions, at all levels, when the table was last watched';

COMMENT ON COLUMN jobhooks.content_type.keep_lastval IS 'Whether a captured row leaves lastval() of its session as it was; null: an inserted row of a table that a sequence fills';

CREATE VIEW jobhooks.changes AS
 SELECT change.id,
    change."time",
    COALESCE(jobhooks.table_name(content_type.relation), content_type.name) AS table_name,
    change.action,
    COALESCE((change.context ->> 'user_name'::text), change.session_role) AS user_name,
    (change.context ->> 'request_id'::text) AS request_id,
    change.triggering,
    jobhooks.columns_of(COALESCE(change.postchange, change.prechange), content_type.key_columns) AS object_key,
        CASE
            WHEN (change.action = 'update'::jobhooks.action) THEN jobhooks.difference(change.prechange, change.postchange, content_type.ignore)
            ELSE change.prechange
        END AS removed,
        CASE
            WHEN (change.action = 'update'::jobhooks.action) THEN jobhooks.difference(change.postchange, change.prechange, content_type.ignore)
            ELSE change.postchange
        END AS added,
    change.context,
    change.transaction_id,
    (change.context ->> 'message'::text) AS message,
    jobhooks.depth_of(change.triggering, change.context) AS depth
   FROM (jobhooks.object_change change
     JOIN jobhooks.content_type content_type ON ((content_type.id = change.content_type_id)));

COMMENT ON VIEW jobhooks.changes IS 'The log for people, with differences';

COMMENT ON COLUMN jobhooks.changes.id IS 'Rises in the order in which the rows were written';

COMMENT ON COLUMN jobhooks.changes."time" IS 'When the row was written';

COMMENT ON COLUMN jobhooks.changes.table_name IS 'The table''s name now, or when it was last watched';

COMMENT ON COLUMN jobhooks.changes.action IS 'create, update, delete or truncate';

COMMENT ON COLUMN jobhooks.changes.user_name IS 'The user that the application named, else the role that connected';

COMMENT ON COLUMN jobhooks.changes.request_id IS 'The request that the application named';

COMMENT ON COLUMN jobhooks.changes.triggering IS 'False for a write of a receiver: no hook runs for it, except one with a chain_depth';

COMMENT ON COLUMN jobhooks.changes.object_key IS 'The key of the row as it is now';

COMMENT ON COLUMN jobhooks.changes.removed IS 'Of an update the former values of the columns that differ; of a delete the row';

COMMENT ON COLUMN jobhooks.changes.added IS 'Of an update the new values of the columns that differ; of a create the row';

COMMENT ON COLUMN jobhooks.changes.context IS 'Further facts: see jobhooks.object_change';

COMMENT ON COLUMN jobhooks.changes.transaction_id IS 'The top-level transaction that made the change';

COMMENT ON COLUMN jobhooks.changes.message IS 'What the application said of the change, beside the user or the request';

COMMENT ON COLUMN jobhooks.changes.depth IS 'How deep in a chain it is: 0 if an application made it; null: no hook runs for it';

CREATE TABLE jobhooks.condition_failure (
    hook_id integer NOT NULL,
    failures bigint NOT NULL,
    change_id bigint,
    invalid boolean NOT NULL,
    error text NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT a_change_failed_or_all_will CHECK ((((change_id IS NULL) = (failures = 0)) AND ((change_id IS NOT NULL) OR invalid))),
    CONSTRAINT condition_failure_failures_check CHECK ((failures >= 0))
);

COMMENT ON TABLE jobhooks.condition_failure IS 'Hooks whose conditions could not be evaluated, so that changes passed them by';

COMMENT ON COLUMN jobhooks.condition_failure.failures IS 'For about how many changes, since the conditions were last changed';

COMMENT ON COLUMN jobhooks.condition_failure.change_id IS 'The last of them; null where there was none yet';

COMMENT ON COLUMN jobhooks.condition_failure.invalid IS 'The conditions cannot be evaluated for any change';

COMMENT ON COLUMN jobhooks.condition_failure.error IS 'Why that one could not be, or none can';

COMMENT ON COLUMN jobhooks.condition_failure."time" IS 'When that was';

CREATE TABLE jobhooks.condition_verdict (
    hook_id integer NOT NULL,
    conditions text NOT NULL,
    error text,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE jobhooks.condition_verdict IS 'Whether the conditions of hooks compile, as far as a program has compiled them';

COMMENT ON COLUMN jobhooks.condition_verdict.conditions IS 'The text that was compiled; the verdict holds for no other';

COMMENT ON COLUMN jobhooks.condition_verdict.error IS 'Why it does not compile, or cannot be right for the tables of the hook; null: it can';

COMMENT ON COLUMN jobhooks.condition_verdict.checked_at IS 'When it was compiled; -infinity: not yet, and the hook is older than the comparison with its tables';

CREATE TABLE jobhooks.configuration (
    singleton boolean DEFAULT true NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT configuration_singleton_check CHECK (singleton)
);

COMMENT ON TABLE jobhooks.configuration IS 'One row: a number that changes with each change of a hook, a job or a watched table';

CREATE TABLE jobhooks.configuration_change (
    id bigint NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    kind text NOT NULL,
    object_id integer NOT NULL,
    name text NOT NULL,
    action text NOT NULL,
    user_name text NOT NULL,
    before json,
    after json,
    CONSTRAINT before_and_after CHECK ((((before IS NULL) = (action = 'create'::text)) AND ((after IS NULL) = (action = 'delete'::text)))),
    CONSTRAINT configuration_change_action_check CHECK ((action = ANY (ARRAY['create'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT configuration_change_kind_check CHECK ((kind = ANY (ARRAY['hook'::text, 'job'::text])))
);

COMMENT ON TABLE jobhooks.configuration_change IS 'Who changed which hook or job, and how';

COMMENT ON COLUMN jobhooks.configuration_change.kind IS 'hook: jobhooks.job_hook, with its tables; job: jobhooks.job';

COMMENT ON COLUMN jobhooks.configuration_change.object_id IS 'Which, perhaps gone by now';

COMMENT ON COLUMN jobhooks.configuration_change.name IS 'What it was called: the name of a hook, the class path of a job';

COMMENT ON COLUMN jobhooks.configuration_change.user_name IS 'As the session said it in jobhooks.user_name, else the role that connected';

COMMENT ON COLUMN jobhooks.configuration_change.before IS 'As it was; null on create';

COMMENT ON COLUMN jobhooks.configuration_change.after IS 'As it is since; null on delete';

ALTER TABLE jobhooks.configuration_change ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.configuration_change_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE jobhooks.content_type ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME jobhooks.content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE jobhooks.content_type_parent (
    content_type_id integer NOT NULL,
    parent_id integer NOT NULL,
    columns text[] NOT NULL,
    "position" integer NOT NULL,
    active boolean DEFAULT true NOT NULL,
    CONSTRAINT content_type_parent_columns_check CHECK ((cardinality(columns) > 0)),
    CONSTRAINT no_table_is_its_own_parent CHECK ((content_type_id <> parent_id))
);

COMMENT ON TABLE jobhooks.content_type_parent IS 'Tables whose changes are updates of rows of another table too. A row stays, inactive: pending deliveries refer to it';

COMMENT ON COLUMN jobhooks.content_type_parent.content_type_id IS 'The child, such as public.device_tag: jobhooks.content_type';

COMMENT ON COLUMN jobhooks.content_type_parent.parent_id IS 'The parent, such as public.device: jobhooks.content_type';

COMMENT ON COLUMN jobhooks.content_type_parent.columns IS 'The columns of the child that hold the key of the parent, in the order of that key';

COMMENT ON COLUMN jobhooks.content_type_parent."position" IS 'A hook that is on several parents of a table gets its changes as updates of the first one';

COMMENT ON COLUMN jobhooks.content_type_parent.active IS 'False after the table was watched again without this parent';

CREATE TABLE jobhooks.data_verdict (
    hook_id integer NOT NULL,
    job_id integer NOT NULL,
    data jsonb NOT NULL,
    error text,
    checked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE jobhooks.data_verdict IS 'Whether receivers take the data of hooks, as far as a program has checked that';

COMMENT ON COLUMN jobhooks.data_verdict.job_id IS 'The job whose receiver checked the data; the verdict holds for no other';

COMMENT ON COLUMN jobhooks.data_verdict.data IS 'The data that were checked; the verdict holds for no other';

COMMENT ON COLUMN jobhooks.data_verdict.error IS 'Why the receiver does not take them; null: it does';

COMMENT ON COLUMN jobhooks.data_verdict.checked_at IS 'When they were checked';

CREATE TABLE jobhooks.delivery (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    status text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    due_at timestamp with time zone,
    parked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    content_type_id integer NOT NULL,
    lane bigint,
    other_lane bigint,
    blocks boolean DEFAULT true NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    lasting boolean DEFAULT false NOT NULL,
    CONSTRAINT delivery_attempts_check CHECK ((attempts >= 0)),
    CONSTRAINT delivery_failures_check CHECK ((failures >= 0)),
    CONSTRAINT delivery_status_check CHECK ((status = ANY (ARRAY['waiting'::text, 'dead'::text]))),
    CONSTRAINT other_lane_is_second CHECK (((lane IS NOT NULL) OR (other_lane IS NULL))),
    CONSTRAINT waiting_is_due CHECK (((status = 'waiting'::text) = (due_at IS NOT NULL)))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');

COMMENT ON TABLE jobhooks.delivery IS 'The backlog: deliveries that wait for a time or an older delivery, and dead ones';

COMMENT ON COLUMN jobhooks.delivery.change_id IS 'The change to deliver: jobhooks.object_change';

COMMENT ON COLUMN jobhooks.delivery.hook_id IS 'The hook, which may have been deleted since';

COMMENT ON COLUMN jobhooks.delivery.status IS 'waiting: attempted when it is due and no older delivery with one of its keys is in the way; dead: kept until someone decides';

COMMENT ON COLUMN jobhooks.delivery.attempts IS 'Of all times: the number of the last attempt that has a result';

COMMENT ON COLUMN jobhooks.delivery.due_at IS 'When it will be attempted; null unless it is waiting';

COMMENT ON COLUMN jobhooks.delivery.parked_at IS 'When it entered the backlog';

COMMENT ON COLUMN jobhooks.delivery.content_type_id IS 'The table of the change';

COMMENT ON COLUMN jobhooks.delivery.lane IS 'A number for the object, by which its deliveries are kept in order; null: in order with all of the table';

COMMENT ON COLUMN jobhooks.delivery.other_lane IS 'The lane of the new key, where an update changed the key';

COMMENT ON COLUMN jobhooks.delivery.blocks IS 'Later deliveries of its lane wait for it';

COMMENT ON COLUMN jobhooks.delivery.failures IS 'Since it was parked, or last retried by hand: they decide when it is due, or dead';

COMMENT ON COLUMN jobhooks.delivery.lasting IS 'Whether the last attempt failed with an error that time does not fix: another one makes it dead';

CREATE TABLE jobhooks.hook_loop (
    hook_id integer NOT NULL,
    reason text NOT NULL,
    "time" timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE jobhooks.hook_loop IS 'Hooks that the daemon has paused because they triggered themselves';

COMMENT ON COLUMN jobhooks.hook_loop.reason IS 'What the daemon saw';

COMMENT ON COLUMN jobhooks.hook_loop."time" IS 'When it paused the hook';

CREATE TABLE jobhooks.hook_position (
    hook_id integer NOT NULL,
    seen pg_snapshot NOT NULL,
    seen_floor bigint NOT NULL,
    horizon pg_snapshot NOT NULL,
    horizon_floor bigint NOT NULL,
    last_id bigint NOT NULL,
    saved_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT hook_position_check CHECK ((horizon_floor >= seen_floor)),
    CONSTRAINT hook_position_last_id_check CHECK ((last_id >= 0)),
    CONSTRAINT hook_position_seen_floor_check CHECK ((seen_floor >= 0))
);

COMMENT ON TABLE jobhooks.hook_position IS 'The positions of hooks that read the log alone; the others read where jobhooks.cursor says';

COMMENT ON COLUMN jobhooks.hook_position.seen IS 'Every change that this snapshot sees is settled for the hook, or in the backlog';

COMMENT ON COLUMN jobhooks.hook_position.seen_floor IS 'The low-water id of seen';

COMMENT ON COLUMN jobhooks.hook_position.horizon IS 'The end of the window that is being read';

COMMENT ON COLUMN jobhooks.hook_position.horizon_floor IS 'The low-water id of horizon';

COMMENT ON COLUMN jobhooks.hook_position.last_id IS 'Changes of the window up to this id are settled, or in the backlog';

COMMENT ON COLUMN jobhooks.hook_position.saved_at IS 'When the daemon saved it';

CREATE TABLE jobhooks.job_hook_content_type (
    job_hook_id integer NOT NULL,
    content_type_id integer NOT NULL
);

COMMENT ON TABLE jobhooks.job_hook_content_type IS 'Which tables a hook is for';

CREATE VIEW jobhooks.hooks AS
 SELECT hook.name,
    ARRAY( SELECT COALESCE(jobhooks.table_name(content_type.relation), content_type.name) AS "coalesce"
           FROM (jobhooks.job_hook_content_type link
             JOIN jobhooks.content_type content_type ON ((content_type.id = link.content_type_id)))
          WHERE (link.job_hook_id = hook.id)
          ORDER BY COALESCE(jobhooks.table_name(content_type.relation), content_type.name)) AS content_types,
    (hook.events)::text[] AS events,
    job.class_path AS job,
    hook.enabled,
    (hook.enabled AND (NOT hook.paused) AND job.installed AND job.enabled AND ((hook.conditions = ''::text) OR ((verdict.hook_id IS NOT NULL) AND (verdict.error IS NULL) AND (NOT COALESCE(failure.invalid, false)))) AND
        CASE
            WHEN (taken.hook_id IS NULL) THEN (hook.data = '{}'::jsonb)
            ELSE (taken.error IS NULL)
        END) AS runs,
    hook.description,
    hook.id,
    hook.priority,
    hook.columns,
    hook.conditions,
    hook.coalesce_s,
    (obstacle.problems || COALESCE(('. Try: '::text || obstacle.remedies), ''::text)) AS why_not,
    COALESCE(failure.failures, (0)::bigint) AS condition_failures,
    COALESCE(verdict.error, failure.error) AS condition_error,
    jobhooks.configuration_of_hook(hook.id) AS settings,
        CASE
            WHEN (hook.conditions = ''::text) THEN NULL::text
            WHEN ((verdict.error IS NOT NULL) OR failure.invalid) THEN 'invalid'::text
            WHEN (verdict.hook_id IS NULL) THEN 'unchecked'::text
            ELSE 'valid'::text
        END AS condition_state,
    hook.paused,
    hook.roles,
    hook.data,
        CASE
            WHEN (taken.error IS NOT NULL) THEN 'invalid'::text
            WHEN (hook.data = '{}'::jsonb) THEN NULL::text
            WHEN (taken.hook_id IS NULL) THEN 'unchecked'::text
            ELSE 'valid'::text
        END AS data_state,
    taken.error AS data_error,
        CASE
            WHEN daemon.has_loaded THEN job.installed
            ELSE NULL::boolean
        END AS loaded,
    COALESCE(chain_end.changes, (0)::bigint) AS chain_ends,
    chain_end.change_id AS chain_end_change_id
   FROM (((((((jobhooks.job_hook hook
     JOIN jobhooks.job job ON ((job.id = hook.job_id)))
     CROSS JOIN ( SELECT jobhooks.has_loaded() AS has_loaded) daemon)
     LEFT JOIN jobhooks.condition_failure failure ON ((failure.hook_id = hook.id)))
     LEFT JOIN jobhooks.chain_end chain_end ON ((chain_end.hook_id = hook.id)))
     LEFT JOIN jobhooks.condition_verdict verdict ON (((verdict.hook_id = hook.id) AND (verdict.conditions = hook.conditions) AND (verdict.checked_at > '-infinity'::timestamp with time zone))))
     LEFT JOIN jobhooks.data_verdict taken ON (((taken.hook_id = hook.id) AND (taken.job_id = hook.job_id) AND (taken.data = hook.data))))
     CROSS JOIN LATERAL ( SELECT string_agg(found.problem, '; '::text ORDER BY found.place) AS problems,
            string_agg(found.remedy, '; '::text ORDER BY found.place) AS remedies
           FROM ( SELECT 1 AS place,
                    'it is not enabled'::text AS problem,
                    NULL::text AS remedy
                  WHERE (NOT hook.enabled)
                UNION ALL
                 SELECT 2,
                    ('it is paused'::text || COALESCE((': '::text || ( SELECT known.reason
                           FROM jobhooks.hook_loop known
                          WHERE (known.hook_id = hook.id))), ''::text)),
                    format('jobhooks hook resume ''%s'''::text, replace(hook.name, ''''::text, '''\'''''::text)) AS format
                  WHERE hook.paused
                UNION ALL
                 SELECT 3,
                    COALESCE(verdict.error, failure.error) AS "coalesce",
                    NULL::text
                  WHERE ((verdict.error IS NOT NULL) OR failure.invalid)
                UNION ALL
                 SELECT 4,
                    'its conditions are unchecked: no daemon has compiled them yet'::text,
                    'jobhooks run, or start its service'::text
                  WHERE ((hook.conditions <> ''::text) AND (verdict.hook_id IS NULL) AND (NOT COALESCE(failure.invalid, false)))
                UNION ALL
                 SELECT 5,
                    taken.error,
                    NULL::text
                  WHERE (taken.error IS NOT NULL)
                UNION ALL
                 SELECT 6,
                    'its data are unchecked: no daemon has checked them yet'::text,
                    'jobhooks run, or start its service'::text
                  WHERE ((hook.data <> '{}'::jsonb) AND (taken.hook_id IS NULL) AND job.installed)
                UNION ALL
                 SELECT 7,
                    (format('its job %s is not installed: '::text, job.class_path) || COALESCE(( SELECT format('the daemon cannot load its module: %s%s: %s'::text, broken.path, (':'::text || broken.line), broken.error) AS format
                           FROM jobhooks.broken_module broken
                          WHERE (daemon.has_loaded AND starts_with(job.class_path, (broken.module || '.'::text)))
                         LIMIT 1),
                        CASE
                            WHEN daemon.has_loaded THEN 'the daemon has not loaded its receiver'::text
                            ELSE 'no daemon has loaded its receiver'::text
                        END)),
                        CASE
                            WHEN daemon.has_loaded THEN 'put the receiver into a directory of the daemon''s receivers_path'::text
                            ELSE 'jobhooks run, or start its service'::text
                        END AS "case"
                  WHERE (NOT job.installed)
                UNION ALL
                 SELECT 8,
                    format('its job %s is not enabled'::text, job.class_path) AS format,
                    format('jobhooks job enable %s'::text, job.class_path) AS format
                  WHERE (NOT job.enabled)
                UNION ALL
                 SELECT (8 + row_number() OVER (ORDER BY content_type.id)),
                    (COALESCE(jobhooks.table_name(content_type.relation), content_type.name) ||
                        CASE
                            WHEN (jobhooks.table_name(content_type.relation) IS NULL) THEN ' was dropped'::text
                            ELSE ' is not watched'::text
                        END),
                        CASE
                            WHEN (jobhooks.table_name(content_type.relation) IS NOT NULL) THEN jobhooks.watch_command(content_type.id)
                            ELSE NULL::text
                        END AS "case"
                   FROM (jobhooks.job_hook_content_type link
                     JOIN jobhooks.content_type content_type ON ((content_type.id = link.content_type_id)))
                  WHERE ((link.job_hook_id = hook.id) AND (NOT (content_type.watched AND (jobhooks.table_name(content_type.relation) IS NOT NULL))))) found) obstacle);

COMMENT ON VIEW jobhooks.hooks IS 'The job hooks, and whether changes lead to runs now';

COMMENT ON COLUMN jobhooks.hooks.name IS 'Its name for people and commands';

COMMENT ON COLUMN jobhooks.hooks.content_types IS 'Its tables, by their current names';

COMMENT ON COLUMN jobhooks.hooks.events IS 'The actions for which it runs';

COMMENT ON COLUMN jobhooks.hooks.job IS 'The job that it runs: module.Class';

COMMENT ON COLUMN jobhooks.hooks.enabled IS 'The hook''s own switch';

COMMENT ON COLUMN jobhooks.hooks.runs IS 'Whether changes lead to runs now: hook and job are enabled, the hook is not paused, and the job is installed';

COMMENT ON COLUMN jobhooks.hooks.description IS 'Its purpose';

COMMENT ON COLUMN jobhooks.hooks.id IS 'Its number in deliveries and results';

COMMENT ON COLUMN jobhooks.hooks.priority IS 'Lists show higher priorities first; it has no other effect';

COMMENT ON COLUMN jobhooks.hooks.columns IS 'An update fires only if one of these columns changed; empty: any column';

COMMENT ON COLUMN jobhooks.hooks.conditions IS 'An expression in CEL that a change must satisfy; empty: none';

COMMENT ON COLUMN jobhooks.hooks.coalesce_s IS 'Changes of an object are delivered as one: those of one transaction (0), of one request (-1), or within this number of seconds';

COMMENT ON COLUMN jobhooks.hooks.why_not IS 'Why changes, or those of one of its tables, lead to no runs, and the command that helps; null: they do';

COMMENT ON COLUMN jobhooks.hooks.condition_failures IS 'For about how many changes the conditions could not be evaluated';

COMMENT ON COLUMN jobhooks.hooks.condition_error IS 'Why the conditions are invalid, or could not be evaluated for the latest such change';

COMMENT ON COLUMN jobhooks.hooks.settings IS 'All its settings, as jobhooks.save_hook takes them';

COMMENT ON COLUMN jobhooks.hooks.condition_state IS 'valid, invalid, or unchecked: no program has compiled them yet; null: no conditions';

COMMENT ON COLUMN jobhooks.hooks.paused IS 'Whether it runs nothing and keeps its position in the log';

COMMENT ON COLUMN jobhooks.hooks.roles IS 'Only changes of sessions that logged in as one of these roles trigger it; empty: all';

COMMENT ON COLUMN jobhooks.hooks.data IS 'What it passes to its receiver: self.hook.data';

COMMENT ON COLUMN jobhooks.hooks.data_state IS 'valid, invalid, or unchecked: no program that has the receiver has seen them; null: no data';

COMMENT ON COLUMN jobhooks.hooks.data_error IS 'Why the receiver does not take the data';

COMMENT ON COLUMN jobhooks.hooks.loaded IS 'Whether the daemon that leads has loaded the receiver; null: no daemon leads';

COMMENT ON COLUMN jobhooks.hooks.chain_ends IS 'About how many changes were deeper in a chain than its chain_depth';

COMMENT ON COLUMN jobhooks.hooks.chain_end_change_id IS 'The last of them';

CREATE TABLE jobhooks.installation (
    singleton boolean DEFAULT true NOT NULL,
    program_version text NOT NULL,
    functions_digest text NOT NULL,
    installed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT installation_singleton_check CHECK (singleton)
);

COMMENT ON TABLE jobhooks.installation IS 'One row: the program whose functions this database has';

COMMENT ON COLUMN jobhooks.installation.functions_digest IS 'A digest of functions/ and grants.sql, so that a program meets no functions but its own';

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
    line integer NOT NULL,
    level text NOT NULL,
    "time" timestamp with time zone NOT NULL,
    object text,
    message text NOT NULL,
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    attempt integer NOT NULL,
    "grouping" text,
    source text
);

COMMENT ON TABLE jobhooks.job_log_entry IS 'The lines that receivers logged';

COMMENT ON COLUMN jobhooks.job_log_entry.line IS 'Counts the lines of the attempt from 1; those of earlier runs that a daemon did not end are negative';

COMMENT ON COLUMN jobhooks.job_log_entry.level IS 'debug, info, success, warning, failure, error or critical';

COMMENT ON COLUMN jobhooks.job_log_entry."time" IS 'When it was logged';

COMMENT ON COLUMN jobhooks.job_log_entry.object IS 'What the line is about, where the receiver named it';

COMMENT ON COLUMN jobhooks.job_log_entry.message IS 'The text that the receiver logged';

COMMENT ON COLUMN jobhooks.job_log_entry.change_id IS 'With hook and attempt: the result, in jobhooks.job_result, that it belongs to';

COMMENT ON COLUMN jobhooks.job_log_entry.hook_id IS 'See change_id';

COMMENT ON COLUMN jobhooks.job_log_entry.attempt IS 'See change_id';

COMMENT ON COLUMN jobhooks.job_log_entry."grouping" IS 'The label that the receiver gave the line, if any';

COMMENT ON COLUMN jobhooks.job_log_entry.source IS 'The logger or the stream that the line came from; null: the log of the run';

CREATE TABLE jobhooks.job_result (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    job_id integer NOT NULL,
    attempt integer NOT NULL,
    status text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    error text,
    traceback text,
    value json,
    version bigint,
    CONSTRAINT failure_has_an_error CHECK (((status = 'success'::text) = (error IS NULL))),
    CONSTRAINT job_result_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT job_result_status_check CHECK ((status = ANY (ARRAY['success'::text, 'failure'::text, 'discarded'::text])))
);

COMMENT ON TABLE jobhooks.job_result IS 'What each attempt at a delivery did. The row is the acknowledgement: it commits with what the receiver wrote';

COMMENT ON COLUMN jobhooks.job_result.change_id IS 'The delivered change: jobhooks.object_change, until retention drops it';

COMMENT ON COLUMN jobhooks.job_result.hook_id IS 'The hook, which may have been deleted since';

COMMENT ON COLUMN jobhooks.job_result.job_id IS 'The job that ran';

COMMENT ON COLUMN jobhooks.job_result.attempt IS 'Counts the attempts at this delivery from 1';

COMMENT ON COLUMN jobhooks.job_result.status IS 'discarded: by the receiver, or by whoever decided so; then error is the reason';

COMMENT ON COLUMN jobhooks.job_result.started_at IS 'When the receiver was called';

COMMENT ON COLUMN jobhooks.job_result.finished_at IS 'When it had returned, or failed';

COMMENT ON COLUMN jobhooks.job_result.error IS 'Why it failed or was discarded; null on success';

COMMENT ON COLUMN jobhooks.job_result.traceback IS 'Where in the receiver it failed';

COMMENT ON COLUMN jobhooks.job_result.value IS 'What the receiver returned; null where that was nothing, or nothing that JSON has';

COMMENT ON COLUMN jobhooks.job_result.version IS 'The version of the receiver that ran: jobhooks.receiver_version; null if none ran, or it is unknown';

CREATE TABLE jobhooks.loaded_receiver (
    class_path text NOT NULL,
    path text NOT NULL,
    line integer,
    source_hash text,
    package text
);

COMMENT ON TABLE jobhooks.loaded_receiver IS 'The receivers that this daemon has loaded';

COMMENT ON COLUMN jobhooks.loaded_receiver.source_hash IS 'SHA-256 of the source that it has imported: the module and its helpers';

COMMENT ON COLUMN jobhooks.loaded_receiver.package IS 'The installed package with its version; null for a file';

CREATE VIEW jobhooks.jobs AS
 SELECT job.class_path,
    (in_force.settings ->> 'name'::text) AS name,
    (in_force.settings ->> 'description'::text) AS description,
    job.installed,
    job.enabled,
    ((in_force.settings ->> 'hidden'::text))::boolean AS hidden,
    (in_force.settings ->> 'grouping'::text) AS "grouping",
    in_force.settings,
    ARRAY( SELECT jsonb_object_keys(job.overrides) AS jsonb_object_keys
          ORDER BY (jsonb_object_keys(job.overrides))) AS overridden,
    job.id,
        CASE
            WHEN daemon.has_loaded THEN (loaded.class_path IS NOT NULL)
            ELSE NULL::boolean
        END AS loaded,
        CASE
            WHEN daemon.has_loaded THEN (loaded.path || COALESCE((':'::text || loaded.line), ''::text))
            ELSE NULL::text
        END AS loaded_from,
        CASE
            WHEN daemon.has_loaded THEN "left"(loaded.source_hash, 12)
            ELSE NULL::text
        END AS version,
        CASE
            WHEN daemon.has_loaded THEN loaded.package
            ELSE NULL::text
        END AS package
   FROM (((jobhooks.job job
     CROSS JOIN ( SELECT jobhooks.has_loaded() AS has_loaded) daemon)
     LEFT JOIN jobhooks.loaded_receiver loaded ON ((loaded.class_path = job.class_path)))
     CROSS JOIN LATERAL ( SELECT jobhooks.settings_of_job(job.*, job.overrides) AS settings) in_force);

COMMENT ON VIEW jobhooks.jobs IS 'The jobs with their effective settings: the receiver''s, or an operator''s override';

CREATE VIEW jobhooks.loaded_hooks AS
 SELECT hook.id,
    hook.job_id,
    ARRAY( SELECT job_hook_content_type.content_type_id
           FROM jobhooks.job_hook_content_type
          WHERE (job_hook_content_type.job_hook_id = hook.id)) AS content_type_ids,
    (hook.enabled_since)::text AS enabled_since,
        CASE
            WHEN ((job.settings ->> 'queue'::text) <> ''::text) THEN ( SELECT min(((other.settings ->> 'concurrency'::text))::integer) AS min
               FROM jobhooks.jobs other
              WHERE ((other.settings ->> 'queue'::text) = (job.settings ->> 'queue'::text)))
            ELSE NULL::integer
        END AS queue_limit,
    (hook.enabled AND (NOT hook.paused) AND job.enabled AND job.installed AND (NOT (EXISTS ( SELECT
           FROM jobhooks.data_verdict taken
          WHERE ((taken.hook_id = hook.id) AND (taken.job_id = hook.job_id) AND (taken.data = hook.data) AND (taken.error IS NOT NULL)))))) AS runs,
    (jobhooks.configuration_of_hook(hook.id))::text AS settings,
    (job.settings)::text AS limits,
    hook.name,
    (hook.enabled AND job.enabled) AS active,
    jobhooks.children_of_hook(hook.id) AS child_ids,
    ( SELECT verdict.error
           FROM jobhooks.condition_verdict verdict
          WHERE ((verdict.hook_id = hook.id) AND (verdict.conditions = hook.conditions))) AS refusal
   FROM (jobhooks.job_hook hook
     JOIN jobhooks.jobs job ON ((job.id = hook.job_id)));

COMMENT ON VIEW jobhooks.loaded_hooks IS 'The job hooks as the engine has them in memory: their settings and the limits of their jobs';

CREATE TABLE jobhooks.log_segment (
    number integer NOT NULL,
    first_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT log_segment_number_check CHECK ((number > 0))
);

COMMENT ON TABLE jobhooks.log_segment IS 'The segments of the log: jobhooks.object_change_1 and so on. Changes are written to the one with the highest number';

COMMENT ON COLUMN jobhooks.log_segment.first_id IS 'No change in the segment that was made in it has a lower id';

CREATE TABLE jobhooks.migration (
    version integer NOT NULL,
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL,
    CONSTRAINT migration_version_check CHECK ((version > 0))
);

COMMENT ON TABLE jobhooks.migration IS 'The numbered migrations that this database has';

CREATE TABLE jobhooks.object_change_1 (
    NOT NULL id
)
INHERITS (jobhooks.object_change);

COMMENT ON TABLE jobhooks.object_change_1 IS 'A segment of the log';

CREATE TABLE jobhooks.rate_bucket (
    hook_id integer NOT NULL,
    key bigint NOT NULL,
    full_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE jobhooks.rate_bucket IS 'What hooks with a rate have used of it';

COMMENT ON COLUMN jobhooks.rate_bucket.key IS 'The hash of the values of rate_per; 0 if all deliveries share the rate';

COMMENT ON COLUMN jobhooks.rate_bucket.full_at IS 'When none of it is used any more';

CREATE TABLE jobhooks.receiver_load (
    is_only boolean DEFAULT true NOT NULL,
    leader bigint NOT NULL,
    process text,
    loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    missing text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT receiver_load_is_only_check CHECK (is_only)
);

COMMENT ON TABLE jobhooks.receiver_load IS 'Which daemon has loaded receivers last, and when; at most one row';

COMMENT ON COLUMN jobhooks.receiver_load.leader IS 'The number under which it led';

COMMENT ON COLUMN jobhooks.receiver_load.process IS 'Its process, as in jobhooks.cursor';

COMMENT ON COLUMN jobhooks.receiver_load.missing IS 'Directories of receivers_path that do not exist, if it was set';

CREATE TABLE jobhooks.receiver_version (
    job_id integer NOT NULL,
    version bigint NOT NULL,
    source_hash text NOT NULL,
    package text,
    first_loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    last_loaded_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);

COMMENT ON TABLE jobhooks.receiver_version IS 'The versions of receivers that daemons have loaded. No foreign key on jobs: results outlive them';

COMMENT ON COLUMN jobhooks.receiver_version.job_id IS 'The job: jobhooks.job';

COMMENT ON COLUMN jobhooks.receiver_version.version IS 'The first 12 hexadecimal digits of source_hash, as a number';

COMMENT ON COLUMN jobhooks.receiver_version.source_hash IS 'SHA-256 of the source: the module and its helpers, or the module and the version of its package';

COMMENT ON COLUMN jobhooks.receiver_version.package IS 'The installed package with its version; null for a file';

COMMENT ON COLUMN jobhooks.receiver_version.first_loaded_at IS 'When a daemon first loaded it';

COMMENT ON COLUMN jobhooks.receiver_version.last_loaded_at IS 'When a daemon last loaded it, or replaced it by another version';

CREATE VIEW jobhooks.results AS
 SELECT result.change_id,
    COALESCE(hook.name, jobhooks.deleted_name('hook'::text, result.hook_id)) AS hook,
    COALESCE(job.class_path, jobhooks.deleted_name('job'::text, result.job_id)) AS job,
    result.attempt,
    result.status,
    result.started_at,
    (result.finished_at - result.started_at) AS duration,
    result.error,
    ARRAY( SELECT format('%s: %s'::text, entry.level, concat_ws(': '::text, entry.object, entry.message)) AS format
           FROM jobhooks.job_log_entry entry
          WHERE ((entry.change_id = result.change_id) AND (entry.hook_id = result.hook_id) AND (entry.attempt = result.attempt))
          ORDER BY entry.line) AS log,
    result.value,
    (hook.id IS NULL) AS hook_deleted,
    jobhooks.version_text(result.version) AS version,
    known.package,
    ( SELECT jsonb_object_agg(counted.level, counted.lines) AS jsonb_object_agg
           FROM ( SELECT entry.level,
                    count(*) AS lines
                   FROM jobhooks.job_log_entry entry
                  WHERE ((entry.change_id = result.change_id) AND (entry.hook_id = result.hook_id) AND (entry.attempt = result.attempt))
                  GROUP BY entry.level) counted) AS log_levels
   FROM (((jobhooks.job_result result
     LEFT JOIN jobhooks.job_hook hook ON ((hook.id = result.hook_id)))
     LEFT JOIN jobhooks.job job ON ((job.id = result.job_id)))
     LEFT JOIN jobhooks.receiver_version known ON (((known.job_id = result.job_id) AND (known.version = result.version))));

COMMENT ON VIEW jobhooks.results IS 'The outcome of each attempt at a delivery, with the receiver''s log lines';

COMMENT ON COLUMN jobhooks.results.change_id IS 'The delivered change';

COMMENT ON COLUMN jobhooks.results.hook IS 'The hook, also after it is deleted';

COMMENT ON COLUMN jobhooks.results.job IS 'The job that ran, also after it is deleted';

COMMENT ON COLUMN jobhooks.results.attempt IS 'Counts the attempts at this delivery from 1';

COMMENT ON COLUMN jobhooks.results.status IS 'success, failure or discarded';

COMMENT ON COLUMN jobhooks.results.started_at IS 'When the receiver was called';

COMMENT ON COLUMN jobhooks.results.duration IS 'How long it took';

COMMENT ON COLUMN jobhooks.results.error IS 'Why it failed or was discarded; null on success';

COMMENT ON COLUMN jobhooks.results.log IS 'The lines that the receiver logged: level, object, message';

COMMENT ON COLUMN jobhooks.results.value IS 'What the receiver returned, as JSON';

COMMENT ON COLUMN jobhooks.results.hook_deleted IS 'Whether the hook was deleted since';

COMMENT ON COLUMN jobhooks.results.version IS 'The version of the receiver that ran: the first digits of the hash of its source; null if unknown';

COMMENT ON COLUMN jobhooks.results.package IS 'The installed package of that version, with the package''s own version';

COMMENT ON COLUMN jobhooks.results.log_levels IS 'How many lines of each level the receiver logged; null: none';

CREATE TABLE jobhooks.running_delivery (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    attempt integer NOT NULL,
    job_id integer NOT NULL,
    merged_into bigint,
    started_at timestamp with time zone NOT NULL,
    leader bigint NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    worker_pid integer,
    cancelled text,
    version bigint,
    CONSTRAINT running_delivery_attempt_check CHECK ((attempt > 0))
);

COMMENT ON TABLE jobhooks.running_delivery IS 'Runs that last longer than about a second, while they last';

COMMENT ON COLUMN jobhooks.running_delivery.change_id IS 'With hook and attempt: the attempt that runs';

COMMENT ON COLUMN jobhooks.running_delivery.hook_id IS 'See change_id';

COMMENT ON COLUMN jobhooks.running_delivery.attempt IS 'See change_id';

COMMENT ON COLUMN jobhooks.running_delivery.job_id IS 'The job that runs';

COMMENT ON COLUMN jobhooks.running_delivery.merged_into IS 'The change that it is delivered with, as one; null if it is delivered by itself';

COMMENT ON COLUMN jobhooks.running_delivery.started_at IS 'When the run began';

COMMENT ON COLUMN jobhooks.running_delivery.leader IS 'The number of the daemon that runs it; another number leads if that daemon is gone';

COMMENT ON COLUMN jobhooks.running_delivery.host IS 'The host of the daemon';

COMMENT ON COLUMN jobhooks.running_delivery.pid IS 'The process id of the daemon';

COMMENT ON COLUMN jobhooks.running_delivery.worker_pid IS 'The process id of the worker; null for an async def receiver';

COMMENT ON COLUMN jobhooks.running_delivery.cancelled IS 'Who has cancelled the run, when and why; null if nobody has';

COMMENT ON COLUMN jobhooks.running_delivery.version IS 'The version of the receiver that runs: jobhooks.receiver_version';

CREATE TABLE jobhooks.running_log_entry (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    line integer NOT NULL,
    level text NOT NULL,
    "time" timestamp with time zone NOT NULL,
    object text,
    message text NOT NULL,
    "grouping" text,
    source text,
    CONSTRAINT running_log_entry_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'success'::text, 'warning'::text, 'failure'::text, 'error'::text, 'critical'::text]))),
    CONSTRAINT running_log_entry_line_check CHECK ((line > 0))
);

COMMENT ON TABLE jobhooks.running_log_entry IS 'The lines that these runs have logged so far; the result of the attempt has its own copy in jobhooks.job_log_entry';

COMMENT ON COLUMN jobhooks.running_log_entry.change_id IS 'With hook: the run, in jobhooks.running_delivery';

COMMENT ON COLUMN jobhooks.running_log_entry.hook_id IS 'See change_id';

COMMENT ON COLUMN jobhooks.running_log_entry.line IS 'Counts the lines of the run from 1';

COMMENT ON COLUMN jobhooks.running_log_entry.level IS 'debug, info, success, warning, failure, error or critical';

COMMENT ON COLUMN jobhooks.running_log_entry."time" IS 'When it was logged';

COMMENT ON COLUMN jobhooks.running_log_entry.object IS 'What the line is about, where the receiver named it';

COMMENT ON COLUMN jobhooks.running_log_entry.message IS 'The text that the receiver logged';

COMMENT ON COLUMN jobhooks.running_log_entry."grouping" IS 'The label that the receiver gave the line, if any';

COMMENT ON COLUMN jobhooks.running_log_entry.source IS 'The logger or the stream that the line came from; null: the log of the run';

CREATE TABLE jobhooks.suspect (
    change_id bigint NOT NULL,
    hook_id integer NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL,
    alone boolean NOT NULL,
    crashes integer DEFAULT 0 NOT NULL,
    reason text,
    began_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    process text,
    version bigint,
    CONSTRAINT suspect_attempt_check CHECK ((attempt > 0)),
    CONSTRAINT suspect_crashes_check CHECK ((crashes >= 0)),
    CONSTRAINT suspect_state_check CHECK ((state = ANY (ARRAY['running'::text, 'waiting'::text, 'guilty'::text])))
);

COMMENT ON TABLE jobhooks.suspect IS 'Runs of async def receivers that were in flight when a daemon died; empty if none has died';

COMMENT ON COLUMN jobhooks.suspect.state IS 'running: in flight now, or when the daemon died; waiting: runs alone next; guilty: this attempt ended the daemon, and counts as failed';

COMMENT ON COLUMN jobhooks.suspect.alone IS 'No other run of an async def receiver was in flight with it';

COMMENT ON COLUMN jobhooks.suspect.crashes IS 'How many daemons have died while it was in flight';

COMMENT ON COLUMN jobhooks.suspect.reason IS 'Why its attempt has failed, if the daemon could still say so';

COMMENT ON COLUMN jobhooks.suspect.began_at IS 'When it was last begun';

COMMENT ON COLUMN jobhooks.suspect.process IS 'The process that ran it last';

COMMENT ON COLUMN jobhooks.suspect.version IS 'The version of the receiver that ran: jobhooks.receiver_version';

ALTER TABLE ONLY jobhooks.object_change ALTER COLUMN id SET DEFAULT nextval('jobhooks.object_change_id_seq'::regclass);

ALTER TABLE ONLY jobhooks.object_change_1 ALTER COLUMN id SET DEFAULT nextval('jobhooks.object_change_id_seq'::regclass);

ALTER TABLE ONLY jobhooks.object_change_1 ALTER COLUMN transaction_id SET DEFAULT pg_current_xact_id();

ALTER TABLE ONLY jobhooks.object_change_1 ALTER COLUMN "time" SET DEFAULT clock_timestamp();

ALTER TABLE ONLY jobhooks.object_change_1 ALTER COLUMN session_role SET DEFAULT current_setting('session_authorization'::text);

ALTER TABLE ONLY jobhooks.capture_template
    ADD CONSTRAINT capture_template_pkey PRIMARY KEY (function);

ALTER TABLE ONLY jobhooks.chain_end
    ADD CONSTRAINT chain_end_pkey PRIMARY KEY (hook_id);

ALTER TABLE ONLY jobhooks.condition_failure
    ADD CONSTRAINT condition_failure_pkey PRIMARY KEY (hook_id);

ALTER TABLE ONLY jobhooks.condition_verdict
    ADD CONSTRAINT condition_verdict_pkey PRIMARY KEY (hook_id);

ALTER TABLE ONLY jobhooks.configuration_change
    ADD CONSTRAINT configuration_change_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.configuration
    ADD CONSTRAINT configuration_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY jobhooks.content_type_parent
    ADD CONSTRAINT content_type_parent_pkey PRIMARY KEY (content_type_id, parent_id, columns);

ALTER TABLE ONLY jobhooks.content_type
    ADD CONSTRAINT content_type_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.content_type
    ADD CONSTRAINT content_type_relation_key UNIQUE (relation);

ALTER TABLE ONLY jobhooks.cursor
    ADD CONSTRAINT cursor_pkey PRIMARY KEY (singleton);

ALTER TABLE ONLY jobhooks.data_verdict
    ADD CONSTRAINT data_verdict_pkey PRIMARY KEY (hook_id);

ALTER TABLE ONLY jobhooks.delivery
    ADD CONSTRAINT delivery_pkey PRIMARY KEY (change_id, hook_id);

ALTER TABLE ONLY jobhooks.hook_loop
    ADD CONSTRAINT hook_loop_pkey PRIMARY KEY (hook_id);

ALTER TABLE ONLY jobhooks.hook_position
    ADD CONSTRAINT hook_position_pkey PRIMARY KEY (hook_id);

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

ALTER TABLE jobhooks.job_log_entry
    ADD CONSTRAINT job_log_entry_level_check CHECK ((level = ANY (ARRAY['debug'::text, 'info'::text, 'success'::text, 'warning'::text, 'failure'::text, 'error'::text, 'critical'::text]))) NOT VALID;

ALTER TABLE ONLY jobhooks.job_log_entry
    ADD CONSTRAINT job_log_entry_pkey PRIMARY KEY (change_id, hook_id, attempt, line);

ALTER TABLE ONLY jobhooks.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.job_result
    ADD CONSTRAINT job_result_pkey PRIMARY KEY (change_id, hook_id, attempt);

ALTER TABLE ONLY jobhooks.loaded_receiver
    ADD CONSTRAINT loaded_receiver_pkey PRIMARY KEY (class_path);

ALTER TABLE ONLY jobhooks.log_segment
    ADD CONSTRAINT log_segment_pkey PRIMARY KEY (number);

ALTER TABLE ONLY jobhooks.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);

ALTER TABLE ONLY jobhooks.object_change_1
    ADD CONSTRAINT object_change_1_pkey PRIMARY KEY (id);

ALTER TABLE ONLY jobhooks.rate_bucket
    ADD CONSTRAINT rate_bucket_pkey PRIMARY KEY (hook_id, key);

ALTER TABLE ONLY jobhooks.receiver_load
    ADD CONSTRAINT receiver_load_pkey PRIMARY KEY (is_only);

ALTER TABLE ONLY jobhooks.receiver_version
    ADD CONSTRAINT receiver_version_pkey PRIMARY KEY (job_id, version);

ALTER TABLE ONLY jobhooks.running_delivery
    ADD CONSTRAINT running_delivery_pkey PRIMARY KEY (change_id, hook_id);

ALTER TABLE ONLY jobhooks.running_log_entry
    ADD CONSTRAINT running_log_entry_pkey PRIMARY KEY (change_id, hook_id, line);

ALTER TABLE ONLY jobhooks.suspect
    ADD CONSTRAINT suspect_pkey PRIMARY KEY (change_id, hook_id);

CREATE INDEX configuration_change_of_object ON jobhooks.configuration_change USING btree (kind, object_id, id);

CREATE INDEX delivery_of_hook ON jobhooks.delivery USING btree (hook_id, change_id);

CREATE INDEX job_log_entry_alarming ON jobhooks.job_log_entry USING btree (change_id, hook_id, attempt, line) WHERE (level = ANY (ARRAY['warning'::text, 'failure'::text, 'error'::text, 'critical'::text]));

CREATE INDEX job_result_unsuccessful ON jobhooks.job_result USING btree (change_id, hook_id, attempt) WHERE (status <> 'success'::text);

CREATE INDEX object_change_1_transaction_id_idx ON jobhooks.object_change_1 USING btree (transaction_id, id);

CREATE TRIGGER check_hook BEFORE INSERT OR UPDATE ON jobhooks.job_hook FOR EACH ROW EXECUTE FUNCTION jobhooks.check_hook();

CREATE CONSTRAINT TRIGGER check_hook_targets AFTER INSERT OR UPDATE OF job_id, events, columns, conditions, roles, rate_per, data ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.check_hook_targets('id');

CREATE CONSTRAINT TRIGGER check_hook_targets AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job_hook_content_type DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.check_hook_targets('job_hook_id');

CREATE TRIGGER check_job_settings BEFORE INSERT OR UPDATE OF settings, overrides ON jobhooks.job FOR EACH ROW EXECUTE FUNCTION jobhooks.check_job_settings();

CREATE CONSTRAINT TRIGGER forget_chain_end AFTER UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.chain_depth <> old.chain_depth)) EXECUTE FUNCTION jobhooks.forget_chain_end();

CREATE CONSTRAINT TRIGGER forget_condition_failures AFTER UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.conditions <> old.conditions)) EXECUTE FUNCTION jobhooks.forget_condition_failures();

CREATE TRIGGER forget_loop AFTER UPDATE ON jobhooks.job_hook FOR EACH ROW WHEN ((old.paused AND (NOT new.paused))) EXECUTE FUNCTION jobhooks.forget_loop();

CREATE CONSTRAINT TRIGGER forget_rate AFTER UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (((old.rate <> new.rate) OR (old.rate_per <> new.rate_per))) EXECUTE FUNCTION jobhooks.forget_rate();

CREATE CONSTRAINT TRIGGER give_up_position AFTER UPDATE ON jobhooks.job DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.enabled <> new.enabled)) EXECUTE FUNCTION jobhooks.give_up_position();

CREATE CONSTRAINT TRIGGER give_up_position AFTER UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((old.enabled <> new.enabled)) EXECUTE FUNCTION jobhooks.give_up_position();

CREATE CONSTRAINT TRIGGER give_up_position_of_deleted AFTER DELETE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.give_up_position();

CREATE CONSTRAINT TRIGGER note_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.content_type DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.note_configuration();

CREATE CONSTRAINT TRIGGER note_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.content_type_parent DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.note_configuration();

CREATE CONSTRAINT TRIGGER note_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.note_configuration();

CREATE CONSTRAINT TRIGGER note_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.note_configuration();

CREATE CONSTRAINT TRIGGER note_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job_hook_content_type DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.note_configuration();

CREATE TRIGGER note_hook_enabled BEFORE UPDATE ON jobhooks.job_hook FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION jobhooks.note_hook_enabled();

CREATE TRIGGER note_job_enabled AFTER UPDATE ON jobhooks.job FOR EACH ROW WHEN ((new.enabled AND (NOT old.enabled))) EXECUTE FUNCTION jobhooks.note_job_enabled();

CREATE CONSTRAINT TRIGGER record_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.record_configuration('job', 'id');

CREATE CONSTRAINT TRIGGER record_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job_hook DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.record_configuration('hook', 'id');

CREATE CONSTRAINT TRIGGER record_configuration AFTER INSERT OR DELETE OR UPDATE ON jobhooks.job_hook_content_type DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION jobhooks.record_configuration('hook', 'job_hook_id');

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.broken_module FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.broken_module ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.capture_template FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.capture_template ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.chain_end FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.chain_end ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.condition_failure FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.condition_failure ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.condition_verdict FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.condition_verdict ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.configuration FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.configuration ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.configuration_change FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.configuration_change ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.content_type FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.content_type ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.content_type_parent FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.content_type_parent ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.cursor FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.cursor ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.data_verdict FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.data_verdict ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.delivery FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.delivery ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.hook_loop FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.hook_loop ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.hook_position FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.hook_position ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.installation FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.installation ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.job FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.job ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.job_hook FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.job_hook ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.job_hook_content_type FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.job_hook_content_type ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.job_log_entry FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.job_log_entry ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.job_result FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.job_result ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.loaded_receiver FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.loaded_receiver ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.log_segment FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.log_segment ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.migration FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.migration ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.object_change FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.object_change ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.object_change_1 FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.object_change_1 ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.rate_bucket FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.rate_bucket ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.receiver_load FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.receiver_load ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.receiver_version FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.receiver_version ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.running_delivery FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.running_delivery ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.running_log_entry FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.running_log_entry ENABLE REPLICA TRIGGER skip_replicated;

CREATE TRIGGER skip_replicated BEFORE INSERT OR DELETE OR UPDATE ON jobhooks.suspect FOR EACH ROW EXECUTE FUNCTION jobhooks.skip_replicated();

ALTER TABLE jobhooks.suspect ENABLE REPLICA TRIGGER skip_replicated;

ALTER TABLE ONLY jobhooks.chain_end
    ADD CONSTRAINT chain_end_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.condition_failure
    ADD CONSTRAINT condition_failure_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.condition_verdict
    ADD CONSTRAINT condition_verdict_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.content_type_parent
    ADD CONSTRAINT content_type_parent_content_type_id_fkey FOREIGN KEY (content_type_id) REFERENCES jobhooks.content_type(id);

ALTER TABLE ONLY jobhooks.content_type_parent
    ADD CONSTRAINT content_type_parent_parent_id_fkey FOREIGN KEY (parent_id) REFERENCES jobhooks.content_type(id);

ALTER TABLE ONLY jobhooks.data_verdict
    ADD CONSTRAINT data_verdict_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.hook_loop
    ADD CONSTRAINT hook_loop_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.job_hook_content_type
    ADD CONSTRAINT job_hook_content_type_content_type_id_fkey FOREIGN KEY (content_type_id) REFERENCES jobhooks.content_type(id);

ALTER TABLE ONLY jobhooks.job_hook_content_type
    ADD CONSTRAINT job_hook_content_type_job_hook_id_fkey FOREIGN KEY (job_hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.job_hook
    ADD CONSTRAINT job_hook_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobhooks.job(id);

ALTER TABLE ONLY jobhooks.rate_bucket
    ADD CONSTRAINT rate_bucket_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.running_log_entry
    ADD CONSTRAINT running_log_entry_change_id_hook_id_fkey FOREIGN KEY (change_id, hook_id) REFERENCES jobhooks.running_delivery(change_id, hook_id) ON DELETE CASCADE;

ALTER TABLE ONLY jobhooks.suspect
    ADD CONSTRAINT suspect_hook_id_fkey FOREIGN KEY (hook_id) REFERENCES jobhooks.job_hook(id) ON DELETE CASCADE;

GRANT USAGE ON SCHEMA jobhooks TO jobhooks_capture;
GRANT USAGE ON SCHEMA jobhooks TO jobhooks_viewer;
GRANT USAGE ON SCHEMA jobhooks TO jobhooks_operator;
GRANT USAGE ON SCHEMA jobhooks TO jobhooks_daemon;
GRANT USAGE ON SCHEMA jobhooks TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.acquire_leadership() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.acquire_leadership() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.actions_called(hook text, events text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.actions_called(hook text, events text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.add_hook(name text, content_types text[], events text[], job text, description text, columns text[], conditions text, coalesce_s double precision, enabled boolean, priority integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.add_hook(name text, content_types text[], events text[], job text, description text, columns text[], conditions text, coalesce_s double precision, enabled boolean, priority integer) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.add_jobs(found json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.add_jobs(found json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.add_replication_trigger(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.add_segment() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.adopt() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.adopt_moved() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.advance_sequence() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.advance_sequence() TO jobhooks_capture;

REVOKE ALL ON FUNCTION jobhooks.applies_replication() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.begin_adoption() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.begin_leadership(leader bigint, process text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.begin_leadership(leader bigint, process text) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.blame_runs(runs json, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.blame_runs(runs json, reason text) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.cancel_deliveries(change_ids bigint[], hook_ids integer[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.cancel_deliveries(change_ids bigint[], hook_ids integer[], reason text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.capture_change() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.casts_of_columns(relation regclass, exclude text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.casts_of_columns(relation regclass, exclude text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.casts_of_columns(relation regclass, exclude text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.casts_of_columns(relation regclass, exclude text[]) TO jobhooks_daemon;

GRANT SELECT,INSERT ON TABLE jobhooks.object_change TO jobhooks_capture;
GRANT SELECT ON TABLE jobhooks.object_change TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.object_change TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.object_change TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.changes_of_object(change_id bigint, later boolean, looked_at integer, most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.changes_of_object(change_id bigint, later boolean, looked_at integer, most integer) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.check_casts(relation regclass, exclude text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.check_hook() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.check_hook_targets() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.check_job_settings() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.check_parent(content_type_id integer, name text, parent regclass, columns text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.check_watchable(relation regclass, key_columns text[], exclude text[], ignore text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.children_of_hook(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.children_of_hook(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.children_of_hook(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.children_of_hook(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) TO jobhooks_capture;
GRANT ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) TO jobhooks_daemon;
GRANT ALL ON FUNCTION jobhooks.columns_of(object json, columns text[]) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.columns_of_key(relation oid, numbers smallint[], OUT columns text[], OUT types text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.columns_of_key(relation oid, numbers smallint[], OUT columns text[], OUT types text[]) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.configuration_of_hook(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.configuration_of_hook(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.configuration_of_hook(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.configuration_of_hook(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.configuration_of_job(job_id integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.configuration_version() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.configuration_version() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.conflicts_of_hooks(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.conflicts_of_hooks(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.conflicts_of_hooks(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.conflicts_of_hooks(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.content_types_called(hook text, names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.content_types_called(hook text, names text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.delete_hook(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.delete_hook(name text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.delete_job(class_path text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.delete_job(class_path text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.deleted_name(kind text, object_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.deleted_name(kind text, object_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.deleted_name(kind text, object_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.deleted_name(kind text, object_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.delivery_states(hook_ids integer[], looked_at bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.delivery_states(hook_ids integer[], looked_at bigint) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.delivery_states(hook_ids integer[], looked_at bigint) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.delivery_states(hook_ids integer[], looked_at bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.depends_on_formats(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.depends_on_formats(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.depends_on_formats(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.depends_on_formats(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.depends_on_names(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.depends_on_names(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.depends_on_names(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.depends_on_names(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.depends_on_time_zone(relation regclass, columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.depends_on_time_zone(relation regclass, columns text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.depends_on_time_zone(relation regclass, columns text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.depends_on_time_zone(relation regclass, columns text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.depth_of(triggering boolean, context json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.depth_of(triggering boolean, context json) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.depth_of(triggering boolean, context json) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.depth_of(triggering boolean, context json) TO jobhooks_daemon;
GRANT ALL ON FUNCTION jobhooks.depth_of(triggering boolean, context json) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.did_you_mean(name text, known text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.did_you_mean(name text, known text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.difference(one json, other json, ignored text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.difference(one json, other json, ignored text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.difference(one json, other json, ignored text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.difference(one json, other json, ignored text[]) TO jobhooks_daemon;
GRANT ALL ON FUNCTION jobhooks.difference(one json, other json, ignored text[]) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.discard_deliveries(change_ids bigint[], hook_ids integer[], reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.discard_deliveries(change_ids bigint[], hook_ids integer[], reason text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.doubted_processes(leader bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.doubted_processes(leader bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.drop_old_history(retention interval) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.drop_old_history(retention interval) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.drop_old_results(retention interval, after bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.drop_old_results(retention interval, after bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.drop_old_segment(retention interval) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.drop_triggers(content_type_id integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.edit_hook(name text, changes jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.edit_hook(name text, changes jsonb) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.enable_hook(name text, enabled boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.enable_hook(name text, enabled boolean) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.enable_job(class_path text, enabled boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.enable_job(class_path text, enabled boolean) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.end_adoption() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.end_leadership(leader bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.end_leadership(leader bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.end_silent_leader(seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.end_silent_leader(seconds double precision) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.ended_transactions(snapshot pg_snapshot, number bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.exclude_command(content_type_id integer, columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.exclude_command(content_type_id integer, columns text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.exclude_command(content_type_id integer, columns text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.exclude_command(content_type_id integer, columns text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.flaw_of_parent(content_type_id integer, parent_id integer, columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.flaw_of_parent(content_type_id integer, parent_id integer, columns text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.flaw_of_parent(content_type_id integer, parent_id integer, columns text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.flaw_of_parent(content_type_id integer, parent_id integer, columns text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.foreign_key_to(content_type_id integer, parent_id integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.forget_chain_end() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.forget_condition_failures() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.forget_loop() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.forget_rate() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.give_up_position() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.greatest_change_id() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.greatest_change_id() TO jobhooks_capture;
GRANT ALL ON FUNCTION jobhooks.greatest_change_id() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.greatest_change_id() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.greatest_change_id() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.has_loaded() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.has_loaded() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.has_loaded() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.has_loaded() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.heartbeat() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.heartbeat() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.held_up_deliveries(looked_at bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.held_up_deliveries(looked_at bigint) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.held_up_deliveries(looked_at bigint) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.held_up_deliveries(looked_at bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.interrupt_runs(leader bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.interrupt_runs(leader bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.is_filled_by_sequence(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.is_filled_by_sequence(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.is_filled_by_sequence(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.is_filled_by_sequence(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.is_restoring() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.is_restoring() TO jobhooks_capture;
GRANT ALL ON FUNCTION jobhooks.is_restoring() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.is_restoring() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.is_restoring() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.is_same_place(recorded json, configured json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.is_same_place(recorded json, configured json) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.is_same_place(recorded json, configured json) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.is_same_place(recorded json, configured json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.keep_lines(change_id bigint, hook_id integer, attempt integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.keep_lines(change_id bigint, hook_id integer, attempt integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.known_to_reader() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.lagging_hooks(looked_at integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.lagging_hooks(looked_at integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.lagging_hooks(looked_at integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.lagging_hooks(looked_at integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.leader_session() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.leader_session() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.leader_session() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.leader_session() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.live_triggers() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.live_triggers() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.live_triggers() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.live_triggers() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.load_suspects(leader bigint, died text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.load_suspects(leader bigint, died text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.logged_columns(tables text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.logged_columns(tables text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.logged_columns(tables text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.logged_columns(tables text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.maintain_log(retention interval, segment_size bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.maintain_log(retention interval, segment_size bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.mark_runs(leader bigint, ended json, begun json, alone boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.mark_runs(leader bigint, ended json, begun json, alone boolean) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.may_mark() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_capture;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_daemon;
GRANT ALL ON FUNCTION jobhooks.may_mark() TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.moved_transactions() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.names_of_tables() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.names_of_tables() TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.nearest_names(name text, known text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.nearest_names(name text, known text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.note_chain_ends(ends json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.note_chain_ends(ends json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.note_condition_failures(failures json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.note_condition_failures(failures json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.note_condition_verdicts(verdicts json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.note_condition_verdicts(verdicts json) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.note_condition_verdicts(verdicts json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.note_configuration() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.note_data_verdicts(verdicts json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.note_data_verdicts(verdicts json) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.note_data_verdicts(verdicts json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.note_database() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.note_hook_enabled() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.note_job_enabled() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.note_runs(leader bigint, ended json, begun json, lines json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.note_runs(leader bigint, ended json, begun json, lines json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.other_place(configured json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.other_place(configured json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.owed_deliveries(looked_at bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.parents_of(content_type_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.parents_of(content_type_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.parents_of(content_type_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.parents_of(content_type_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.pause_hook(name text, paused boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.pause_hook(name text, paused boolean) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.pause_loop(leader bigint, hook_id integer, reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.pause_loop(leader bigint, hook_id integer, reason text) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.place_text(place json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.place_text(place json) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.place_text(place json) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.place_text(place json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.prepare_segment(number integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.previous_change(change_id bigint, looked_at integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.previous_change(change_id bigint, looked_at integer) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.primary_key(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.primary_key(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.primary_key(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.primary_key(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems(retention interval, segment_size bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems(retention interval, segment_size bigint) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems(retention interval, segment_size bigint) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems(retention interval, segment_size bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_capture() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_capture() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_capture() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_capture() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_casts() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_casts() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_casts() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_casts() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_chains() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_chains() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_chains() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_chains() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_columns() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_columns() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_columns() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_columns() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_conditions() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_conditions() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_conditions() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_conditions() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_crashes() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_crashes() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_crashes() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_crashes() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_data() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_data() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_data() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_data() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_deliveries() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_deliveries() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_deliveries() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_deliveries() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_hooks() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_hooks() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_hooks() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_hooks() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_keys() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_keys() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_keys() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_keys() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_leader(silence interval) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_leader(silence interval) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_leader(silence interval) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_leader(silence interval) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_log(retention interval, segment_size bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_log(retention interval, segment_size bigint) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_log(retention interval, segment_size bigint) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_log(retention interval, segment_size bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_marks() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_marks() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_marks() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_marks() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_names_in_hooks() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_names_in_hooks() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_names_in_hooks() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_names_in_hooks() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_parents() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_parents() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_parents() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_parents() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_partitions() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_partitions() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_partitions() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_positions() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_positions() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_positions() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_positions() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_publications() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_publications() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_publications() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_publications() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_receivers() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_receivers() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_receivers() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_receivers() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_roles() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_roles() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_roles() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_roles() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_server() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_server() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_server() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_server() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_tables() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_tables() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_tables() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_tables() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_triggers() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_triggers() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_triggers() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_triggers() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.problems_of_wide_rows() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.problems_of_wide_rows() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.problems_of_wide_rows() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.problems_of_wide_rows() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.rate_waits(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.rate_waits(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.rate_waits(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.rate_waits(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.read_by_all() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.record_configuration() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.record_failures(rest json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_failures(rest json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.record_place(leader bigint, configured json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_place(leader bigint, configured json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.record_receivers(leader bigint, loaded json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_receivers(leader bigint, loaded json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.record_result(change_id bigint, hook_id integer, job_id integer, attempt integer, status text, started_at double precision, finished_at double precision, error text, log_entries json, value json, version bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_result(change_id bigint, hook_id integer, job_id integer, attempt integer, status text, started_at double precision, finished_at double precision, error text, log_entries json, value json, version bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.record_results(change_ids bigint[], hook_id integer, job_id integer, attempts integer[], status text, started_at double precision, finished_at double precision, error text, log_entries json, value json, version bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_results(change_ids bigint[], hook_id integer, job_id integer, attempts integer[], status text, started_at double precision, finished_at double precision, error text, log_entries json, value json, version bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.record_successes(change_ids bigint[], hook_id integer, job_id integer, attempts integer[], started_at double precision[], finished_at double precision[], version bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.record_successes(change_ids bigint[], hook_id integer, job_id integer, attempts integer[], started_at double precision[], finished_at double precision[], version bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.recorded_columns(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.recorded_columns(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.recorded_columns(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.recorded_columns(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.recover_content_types() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.refusal_of_setting(setting text, value jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.refusal_of_setting(setting text, value jsonb) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.refusal_of_setting(setting text, value jsonb) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.refusal_of_setting(setting text, value jsonb) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.refuse_unknown_hook(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.refuse_unknown_hook(name text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.refuse_unknown_job(class_path text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.refuse_unknown_job(class_path text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.register_jobs(found json, complete boolean) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.register_jobs(found json, complete boolean) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.relation_called(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.relation_called(name text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.renumber_transactions() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.renumbered_snapshot(taken pg_snapshot, former bigint[], fresh bigint[], in_progress bigint[], next_id bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.requeue(deliveries json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.requeue(deliveries json) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.reset_job(class_path text, names text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.reset_job(class_path text, names text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.restored_triggers() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.restored_triggers() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.restored_triggers() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.restored_triggers() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.retry_deliveries(change_ids bigint[], hook_ids integer[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.retry_deliveries(change_ids bigint[], hook_ids integer[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.save_hook(name text, settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.save_hook(name text, settings jsonb) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.save_positions(leader bigint, shared json, hooks json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.save_positions(leader bigint, shared json, hooks json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.save_rates(leader bigint, buckets json) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.save_rates(leader bigint, buckets json) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.schema_version() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.secret_columns(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.secret_columns(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.secret_columns(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.secret_columns(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.set_job(class_path text, settings jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.set_job(class_path text, settings jsonb) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.set_parents(content_type_id integer, parents json) FROM PUBLIC;

GRANT SELECT ON TABLE jobhooks.job TO jobhooks_viewer;
GRANT SELECT,DELETE ON TABLE jobhooks.job TO jobhooks_operator;
GRANT SELECT,INSERT,UPDATE ON TABLE jobhooks.job TO jobhooks_daemon;

GRANT UPDATE(enabled) ON TABLE jobhooks.job TO jobhooks_operator;

GRANT UPDATE(overrides) ON TABLE jobhooks.job TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.settings_of_job(job jobhooks.job, overrides jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.settings_of_job(job jobhooks.job, overrides jsonb) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.settings_of_job(job jobhooks.job, overrides jsonb) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.settings_of_job(job jobhooks.job, overrides jsonb) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.settings_of_jobs() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.settings_of_jobs() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.settings_of_jobs() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.settings_of_jobs() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.settle(leader bigint, change_ids bigint[], hook_ids integer[], job_ids integer[], attempts integer[], started_at double precision[], finished_at double precision[], rest json, versions bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.settle(leader bigint, change_ids bigint[], hook_ids integer[], job_ids integer[], attempts integer[], started_at double precision[], finished_at double precision[], rest json, versions bigint[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.settle_cancelled_runs(except_leader bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.settle_cancelled_runs(except_leader bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.show_process(process text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.show_process(process text) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.similarity(one text, other text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.similarity(one text, other text) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.skip_replicated() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text[], exclude text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text[], exclude text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text[], exclude text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text[], exclude text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.table_name(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.table_name(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.table_name(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.table_name(relation regclass) TO jobhooks_daemon;
GRANT ALL ON FUNCTION jobhooks.table_name(relation regclass) TO jobhooks_receiver;

REVOKE ALL ON FUNCTION jobhooks.transaction_ids_survived() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.trigger_statements(content_type_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.trigger_statements(content_type_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.trigger_statements(content_type_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.trigger_statements(content_type_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.types_of_columns(relation regclass, columns text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.types_of_columns(relation regclass, columns text[]) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.types_of_columns(relation regclass, columns text[]) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.types_of_columns(relation regclass, columns text[]) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.unknown_columns(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.unknown_columns(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.unknown_columns(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.unknown_columns(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.unknown_in_words(unknown text[], known text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.unknown_in_words(unknown text[], known text[]) TO jobhooks_operator;

REVOKE ALL ON FUNCTION jobhooks.unknown_ordering(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.unknown_ordering(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.unknown_ordering(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.unknown_ordering(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.unknown_rate_keys(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.unknown_rate_keys(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.unknown_rate_keys(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.unknown_rate_keys(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.unknown_roles(hook_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.unknown_roles(hook_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.unknown_roles(hook_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.unknown_roles(hook_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.unwatch(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.use_segment(number integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.version_text(version bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.version_text(version bigint) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.version_text(version bigint) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.version_text(version bigint) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.wait_briefly() FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.wait_for_leader(seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.wait_for_leader(seconds double precision) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.wait_for_lock(key integer, seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.wait_for_lock(key integer, seconds double precision) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.wake_lock_squatters() FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.wake_lock_squatters() TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.wake_lock_squatters() TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.wake_lock_squatters() TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.watch(relation regclass, key text[], keyless boolean, always boolean, exclude text[], ignore text[], allow_casts boolean, keep_lastval boolean, parents json) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.watch_as_before(relation regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.watch_command(content_type_id integer) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.watch_command(content_type_id integer) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.watch_command(content_type_id integer) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.watch_command(content_type_id integer) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.watch_instead(relation regclass, former regclass) FROM PUBLIC;

REVOKE ALL ON FUNCTION jobhooks.watched_relations(relation regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.watched_relations(relation regclass) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.watched_relations(relation regclass) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.watched_relations(relation regclass) TO jobhooks_daemon;

REVOKE ALL ON FUNCTION jobhooks.without_table(statement text) FROM PUBLIC;
GRANT ALL ON FUNCTION jobhooks.without_table(statement text) TO jobhooks_viewer;
GRANT ALL ON FUNCTION jobhooks.without_table(statement text) TO jobhooks_operator;
GRANT ALL ON FUNCTION jobhooks.without_table(statement text) TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.cursor TO jobhooks_capture;
GRANT SELECT ON TABLE jobhooks.cursor TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.cursor TO jobhooks_operator;
GRANT SELECT,UPDATE ON TABLE jobhooks.cursor TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.job_hook TO jobhooks_viewer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.job_hook TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.job_hook TO jobhooks_daemon;
GRANT SELECT ON TABLE jobhooks.job_hook TO jobhooks_receiver;

GRANT USAGE,UPDATE ON SEQUENCE jobhooks.object_change_id_seq TO jobhooks_capture;
GRANT SELECT ON SEQUENCE jobhooks.object_change_id_seq TO jobhooks_viewer;
GRANT SELECT ON SEQUENCE jobhooks.object_change_id_seq TO jobhooks_operator;
GRANT SELECT ON SEQUENCE jobhooks.object_change_id_seq TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.backlog TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.backlog TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.backlog TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.broken_module TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.broken_module TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.broken_module TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.capture_template TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.capture_template TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.capture_template TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.chain_end TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.chain_end TO jobhooks_operator;
GRANT SELECT,INSERT,UPDATE ON TABLE jobhooks.chain_end TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.content_type TO jobhooks_capture;
GRANT SELECT ON TABLE jobhooks.content_type TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.content_type TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.content_type TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.changes TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.changes TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.changes TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.condition_failure TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.condition_failure TO jobhooks_operator;
GRANT SELECT,INSERT,UPDATE ON TABLE jobhooks.condition_failure TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.condition_verdict TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.condition_verdict TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.condition_verdict TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.configuration TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.configuration TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.configuration TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.configuration_change TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.configuration_change TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.configuration_change TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.content_type_parent TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.content_type_parent TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.content_type_parent TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.data_verdict TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.data_verdict TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.data_verdict TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.delivery TO jobhooks_viewer;
GRANT SELECT,DELETE,UPDATE ON TABLE jobhooks.delivery TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.delivery TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.hook_loop TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.hook_loop TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.hook_loop TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.hook_position TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.hook_position TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.hook_position TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.job_hook_content_type TO jobhooks_viewer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.job_hook_content_type TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.job_hook_content_type TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.hooks TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.hooks TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.hooks TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.installation TO jobhooks_capture;
GRANT SELECT ON TABLE jobhooks.installation TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.installation TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.installation TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.job_log_entry TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.job_log_entry TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE ON TABLE jobhooks.job_log_entry TO jobhooks_daemon;
GRANT SELECT ON TABLE jobhooks.job_log_entry TO jobhooks_receiver;

GRANT SELECT ON TABLE jobhooks.job_result TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.job_result TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE ON TABLE jobhooks.job_result TO jobhooks_daemon;
GRANT SELECT ON TABLE jobhooks.job_result TO jobhooks_receiver;

GRANT SELECT ON TABLE jobhooks.loaded_receiver TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.loaded_receiver TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.loaded_receiver TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.jobs TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.jobs TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.jobs TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.loaded_hooks TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.loaded_hooks TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.loaded_hooks TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.log_segment TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.log_segment TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.log_segment TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.migration TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.migration TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.migration TO jobhooks_daemon;

GRANT SELECT,INSERT ON TABLE jobhooks.object_change_1 TO jobhooks_capture;
GRANT SELECT ON TABLE jobhooks.object_change_1 TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.object_change_1 TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.object_change_1 TO jobhooks_daemon;

GRANT UPDATE(action) ON TABLE jobhooks.object_change_1 TO jobhooks_capture;

GRANT UPDATE(postchange) ON TABLE jobhooks.object_change_1 TO jobhooks_capture;

GRANT SELECT ON TABLE jobhooks.rate_bucket TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.rate_bucket TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.rate_bucket TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.receiver_load TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.receiver_load TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.receiver_load TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.receiver_version TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.receiver_version TO jobhooks_operator;
GRANT SELECT,INSERT,UPDATE ON TABLE jobhooks.receiver_version TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.results TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.results TO jobhooks_operator;
GRANT SELECT ON TABLE jobhooks.results TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.running_delivery TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.running_delivery TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.running_delivery TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.running_log_entry TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.running_log_entry TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.running_log_entry TO jobhooks_daemon;

GRANT SELECT ON TABLE jobhooks.suspect TO jobhooks_viewer;
GRANT SELECT ON TABLE jobhooks.suspect TO jobhooks_operator;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE jobhooks.suspect TO jobhooks_daemon;
