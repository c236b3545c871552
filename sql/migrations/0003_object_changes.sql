-- The log: one row for each captured row change. Nothing in it refers to another table by foreign key, since every
-- check of one would be a lock and a look-up inside the application's own statement.
create type jobhooks.action as enum ('create', 'update', 'delete', 'truncate');

-- No cache: the reader relies on it that an id is greater than every id handed out before.
create sequence jobhooks.object_change_id_seq as bigint cache 1;

create table jobhooks.object_change (
    id bigint not null default nextval('jobhooks.object_change_id_seq'),
    transaction_id xid8 not null default pg_current_xact_id(),
    time timestamptz not null default clock_timestamp(),
    caused_by_change_id bigint,
    caused_by_hook_id integer,
    caused_by_attempt integer,
    content_type_id integer not null,
    action jobhooks.action not null,
    triggering boolean not null default true,
    session_role text not null default session_user,
    user_name text,
    request_id text,
    refused_mark text,
    snapshot_error text,
    object_key json,
    prechange json,
    postchange json,
    constraint object_change_pkey primary key (id),
    constraint snapshots_fit_action check (
        (prechange is not null) = (action in ('update', 'delete') and snapshot_error is null)
        and (postchange is not null) = (action in ('create', 'update') and snapshot_error is null)
    ),
    constraint cause_is_whole check (num_nulls(caused_by_change_id, caused_by_hook_id, caused_by_attempt) in (0, 3)),
    constraint caused_does_not_trigger check (caused_by_change_id is null or not triggering)
) partition by range (id);

create index object_change_transaction_id_idx on jobhooks.object_change (transaction_id, id);

create table jobhooks.object_change_1 partition of jobhooks.object_change for values from (1) to (10000001);
create table jobhooks.object_change_default partition of jobhooks.object_change default;

alter sequence jobhooks.object_change_id_seq owned by jobhooks.object_change.id;

comment on type jobhooks.action is 'What happened to a row; truncate happened to the whole table';
comment on sequence jobhooks.object_change_id_seq is 'Numbers the changes in the order in which they were captured';
comment on table jobhooks.object_change is 'The log: one row for each captured row change';
comment on table jobhooks.object_change_1 is 'The first ten million changes';
comment on table jobhooks.object_change_default is 'The net: changes for which no partition was made ahead';
comment on column jobhooks.object_change.transaction_id is 'The top-level transaction that made the change';
comment on column jobhooks.object_change.caused_by_change_id is
'With hook and attempt: the run whose receiver made this change';
comment on column jobhooks.object_change.triggering is 'False for what a receiver wrote: recorded, and no hook runs for it';
comment on column jobhooks.object_change.session_role is 'The role that connected';
comment on column jobhooks.object_change.user_name is 'Who, as the application said it: set local jobhooks.user_name';
comment on column jobhooks.object_change.request_id is 'Why, as the application said it: set local jobhooks.request_id';
comment on column jobhooks.object_change.refused_mark is
'A receiver''s mark from a session that may not carry one: ignored, and kept here as evidence';
comment on column jobhooks.object_change.snapshot_error is
'Why the row could not be written down as json; then object_key stands in for the snapshots';
comment on column jobhooks.object_change.prechange is 'The row before, as json: null on create and truncate';
comment on column jobhooks.object_change.postchange is 'The row after, as json: null on delete and truncate';
