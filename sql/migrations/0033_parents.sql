-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- A change of a child table, such as one of a many-to-many, is an update of the rows that it refers to.
create table jobhooks.content_type_parent (
    content_type_id integer not null references jobhooks.content_type (id),
    parent_id integer not null references jobhooks.content_type (id),
    columns text [] not null check (cardinality(columns) > 0),
    position integer not null,
    active boolean not null default true,
    primary key (content_type_id, parent_id, columns),
    constraint no_table_is_its_own_parent check (content_type_id <> parent_id)
);
comment on table jobhooks.content_type_parent is
'Tables whose changes are updates of rows of another table too. A row stays, inactive: pending deliveries refer to it';
comment on column jobhooks.content_type_parent.content_type_id is 'The child, such as public.device_tag: jobhooks.content_type';
comment on column jobhooks.content_type_parent.parent_id is 'The parent, such as public.device: jobhooks.content_type';
comment on column jobhooks.content_type_parent.columns is 'The columns of the child that hold the key of the parent, in the order of that key';
comment on column jobhooks.content_type_parent.position is 'A hook that is on several parents of a table gets its changes as updates of the first one';
comment on column jobhooks.content_type_parent.active is 'False after the table was watched again without this parent';

-- It has a further parameter. Beside its former self, calls without it would be ambiguous.
drop function if exists jobhooks.watch(regclass, text [], boolean, boolean, text [], text [], boolean, boolean);
