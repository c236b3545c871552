-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- What the daemon has loaded. It counts while the daemon leads that wrote it: see jobhooks.has_loaded().
create table jobhooks.receiver_load (
    is_only boolean primary key default true check (is_only),
    leader bigint not null,
    process text,
    loaded_at timestamptz not null default clock_timestamp(),
    missing text [] not null default '{}'
);
comment on table jobhooks.receiver_load is 'Which daemon has loaded receivers last, and when; at most one row';
comment on column jobhooks.receiver_load.leader is 'The number under which it led';
comment on column jobhooks.receiver_load.process is 'Its process, as in jobhooks.cursor';
comment on column jobhooks.receiver_load.missing is 'Directories of receivers_path that do not exist, if it was set';

create table jobhooks.loaded_receiver (
    class_path text primary key,
    path text not null,
    line integer,
    source_hash text,
    package text
);
comment on table jobhooks.loaded_receiver is 'The receivers that this daemon has loaded';
comment on column jobhooks.loaded_receiver.source_hash is 'SHA-256 of the source that it has imported: the module and its helpers';
comment on column jobhooks.loaded_receiver.package is 'The installed package with its version; null for a file';

create table jobhooks.broken_module (
    module text not null,
    path text not null,
    line integer,
    error text not null
);
comment on table jobhooks.broken_module is 'The modules that this daemon could not import, and classes in them that are no valid receivers';
comment on column jobhooks.broken_module.line is 'The first line of the module that failed; null if there is none';
