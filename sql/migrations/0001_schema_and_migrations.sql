-- The schema, and the record of what has been applied to it.
create schema jobhooks;

comment on schema jobhooks is 'Job Hooks: row changes, the hooks that match them, and what their receivers did';

create table jobhooks.migration (
    version integer primary key check (version > 0),
    name text not null,
    applied_at timestamptz not null default now(),
    applied_by text not null default session_user
);

comment on table jobhooks.migration is 'The numbered migrations that this database has';

create table jobhooks.installation (
    singleton boolean primary key default true check (singleton),
    program_version text not null,
    functions_digest text not null,
    installed_at timestamptz not null default now()
);

comment on table jobhooks.installation is 'One row: the program whose functions this database has';
comment on column jobhooks.installation.functions_digest is
'A digest of functions/ and grants.sql, so that a program meets no functions but its own';
