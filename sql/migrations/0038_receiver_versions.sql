-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; only the daemon uses these.
set local lock_timeout = '5s';

-- Which version of a receiver ran. The number is made of the source, so no process has to ask the database for it.
alter table jobhooks.job_result add column version bigint;
comment on column jobhooks.job_result.version is
'The version of the receiver that ran: jobhooks.receiver_version; null if none ran, or it is unknown';

alter table jobhooks.running_delivery add column version bigint;
comment on column jobhooks.running_delivery.version is 'The version of the receiver that runs: jobhooks.receiver_version';

create table jobhooks.receiver_version (
    job_id integer not null,
    version bigint not null,
    source_hash text not null,
    package text,
    first_loaded_at timestamptz not null default clock_timestamp(),
    last_loaded_at timestamptz not null default clock_timestamp(),
    primary key (job_id, version)
);
comment on table jobhooks.receiver_version is
'The versions of receivers that daemons have loaded. No foreign key on jobs: results outlive them';
comment on column jobhooks.receiver_version.job_id is 'The job: jobhooks.job';
comment on column jobhooks.receiver_version.version is 'The first 12 hexadecimal digits of source_hash, as a number';
comment on column jobhooks.receiver_version.source_hash is
'SHA-256 of the source: the module and its helpers, or the module and the version of its package';
comment on column jobhooks.receiver_version.package is 'The installed package with its version; null for a file';
comment on column jobhooks.receiver_version.first_loaded_at is 'When a daemon first loaded it';
comment on column jobhooks.receiver_version.last_loaded_at is 'When a daemon last loaded it, or replaced it by another version';

-- They have a further parameter. Beside their former selves, calls without it would be ambiguous.
drop function if exists jobhooks.record_result(
    bigint, integer, integer, integer, text, double precision, double precision, text, json, json
);
drop function if exists jobhooks.record_results(
    bigint [], integer, integer, integer [], text, double precision, double precision, text, json, json
);
drop function if exists jobhooks.record_successes(
    bigint [], integer, integer, integer [], double precision [], double precision []
);
drop function if exists jobhooks.settle(
    bigint, bigint [], integer [], integer [], integer [], double precision [], double precision [], json
);
