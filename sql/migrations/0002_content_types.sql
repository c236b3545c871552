-- Content types: the watched tables.
create table jobhooks.content_type (
    id integer generated always as identity primary key,
    relation regclass not null unique,
    name text not null,
    key_columns text [] not null,
    always boolean not null default false,
    watched boolean not null default true,
    created_at timestamptz not null default now()
);

comment on table jobhooks.content_type is
'The watched tables. A row stays when its table is no longer watched: changes and hooks refer to it';
comment on column jobhooks.content_type.relation is
'Follows the table through renames; a number once the table is gone';
comment on column jobhooks.content_type.name is 'schema.table when it was last watched; tells what a table was once it is gone';
comment on column jobhooks.content_type.key_columns is
'What identifies an object, in order; empty: the table is watched without object identity, ordered as a whole';
comment on column jobhooks.content_type.always is 'Rows that logical replication applies are captured too';
