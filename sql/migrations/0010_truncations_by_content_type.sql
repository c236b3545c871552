-- A table can be truncated for two content types at once: its own, and that of the table of which it is a partition.
-- Empty but within a TRUNCATE.
-- squawk-ignore ban-drop-table
drop table jobhooks_capture.truncation;

create table jobhooks_capture.truncation (
    transaction_id xid8 not null default pg_current_xact_id(),
    trigger_depth integer not null,
    content_type_id integer not null,
    relation oid not null,
    done boolean not null default false,
    primary key (transaction_id, trigger_depth, content_type_id, relation)
);

comment on table jobhooks_capture.truncation is
'The partitioned tables and partitions that a TRUNCATE is about to empty; empty itself between statements';
