-- What can be chosen when a table is watched, what the triggers were made from, and truncations under way.
-- squawk-ignore ban-drop-function
drop function if exists jobhooks.watch(regclass, text [], boolean, boolean);
-- squawk-ignore ban-drop-function
drop function if exists jobhooks.object_key(record, text []);
-- squawk-ignore ban-drop-function
drop function if exists jobhooks.check_watchable(regclass, text []);

alter table jobhooks.content_type
add column exclude text [] not null default '{}',
add column ignore text [] not null default '{}',
add column triggers text [] not null default '{}',
add column partitions oid [] not null default '{}';

comment on column jobhooks.content_type.exclude is 'Columns that are left out of the snapshots';
comment on column jobhooks.content_type.ignore is 'Columns that make no change, and are in no differences';
comment on column jobhooks.content_type.triggers is 'The statements that made the triggers; other ones today: watch the table again';
comment on column jobhooks.content_type.partitions is 'The partitions, at all levels, when the table was last watched';

-- What the triggers call. Nobody has USAGE on it, and so nobody can name what is in it: the triggers are bound to it.
create schema jobhooks_capture;

comment on schema jobhooks_capture is
'What the triggers of watched tables call; whoever had USAGE on it could write changes that never happened';

create table jobhooks_capture.truncation (
    transaction_id xid8 not null default pg_current_xact_id(),
    trigger_depth integer not null,
    relation oid not null,
    done boolean not null default false,
    primary key (transaction_id, trigger_depth, relation)
);

comment on table jobhooks_capture.truncation is
'The partitioned tables and partitions that a TRUNCATE is about to empty; empty itself between statements';
