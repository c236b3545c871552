-- The log as a chain of segments. Writers insert into the newest one by its own name, so that nothing is routed, no lock
-- on the log as a whole is ever waited for, and old changes go by dropping a table. What is seldom said about a change is
-- one column, since each column and each check constraint costs every captured row.
alter sequence jobhooks.object_change_id_seq owned by none;
-- Nothing but jobhooks itself knows these, and both change in one transaction.
-- squawk-ignore renaming-table
alter table jobhooks.object_change rename to former_object_change;
-- squawk-ignore renaming-table
alter table jobhooks.object_change_1 rename to former_object_change_1;
-- squawk-ignore renaming-object
alter table jobhooks.former_object_change rename constraint object_change_pkey to former_object_change_pkey;
-- squawk-ignore renaming-object
alter index jobhooks.object_change_1_pkey rename to former_object_change_1_pkey;

create table jobhooks.object_change (
    id bigint not null default nextval('jobhooks.object_change_id_seq'),
    transaction_id xid8 not null default pg_current_xact_id(),
    time timestamptz not null default clock_timestamp(),
    content_type_id integer not null,
    action jobhooks.action not null,
    triggering boolean not null,
    -- Not session_user, which looks the role up, and fails in a session whose role has been dropped.
    session_role text not null default current_setting('session_authorization'),
    context json,
    prechange json,
    postchange json
);

comment on table jobhooks.object_change is
'The log: one row for each captured row change. Itself empty: the rows are in the segments, which inherit from it';
comment on column jobhooks.object_change.transaction_id is 'The top-level transaction that made the change';
comment on column jobhooks.object_change.triggering is 'False for what a receiver wrote: recorded, and no hook runs for it';
comment on column jobhooks.object_change.session_role is 'The role that connected';
comment on column jobhooks.object_change.context is
'What else there is to say, null if nothing: user_name and request_id as the application said them; caused_by, the run
(change, hook, attempt) of the receiver that made the change; refused_mark, from a session that may not carry one;
snapshot_error, why the row could not be written as json, and then object_key; partition, if it alone was truncated';
comment on column jobhooks.object_change.prechange is 'The row before, as json: null on create and truncate';
comment on column jobhooks.object_change.postchange is 'The row after, as json: null on delete and truncate';

create table jobhooks.log_segment (
    number integer primary key check (number > 0),
    first_id bigint not null,
    created_at timestamptz not null default now()
);

comment on table jobhooks.log_segment is
'The segments of the log: jobhooks.object_change_1 and so on. Changes are written to the one with the highest number';
comment on column jobhooks.log_segment.first_id is 'No change in the segment that was made in it has a lower id';

create table jobhooks.object_change_1 (
    constraint object_change_1_pkey primary key (id)
) inherits (jobhooks.object_change);
create index object_change_1_transaction_id_idx on jobhooks.object_change_1 (transaction_id, id);
comment on table jobhooks.object_change_1 is 'A segment of the log';
insert into jobhooks.log_segment (number, first_id) values (1, 1);

insert into jobhooks.object_change_1 (
    id, transaction_id, time, content_type_id, action, triggering, session_role, context, prechange, postchange
)
select
    id, transaction_id, time, content_type_id, action, triggering, session_role,
    nullif(json_strip_nulls(json_build_object(
        'user_name', user_name, 'request_id', request_id, 'refused_mark', refused_mark,
        'snapshot_error', snapshot_error, 'object_key', object_key,
        'caused_by', case when caused_by_change_id is not null then json_build_object(
            'change', caused_by_change_id, 'hook', caused_by_hook_id, 'attempt', caused_by_attempt
        ) end
    ))::text, '{}')::json,
    prechange, postchange
from jobhooks.former_object_change;

-- squawk-ignore ban-drop-table
drop table jobhooks.former_object_change;
alter sequence jobhooks.object_change_id_seq owned by jobhooks.object_change.id;
