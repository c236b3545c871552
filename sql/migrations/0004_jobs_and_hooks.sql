-- Jobs (the records of receivers) and job hooks (the rules that lead a change to a job).
create table jobhooks.job (
    id integer generated always as identity primary key,
    class_path text not null unique check (class_path ~ '^[^.]+(\.[^.]+)+$'),
    name text not null check (name <> ''),
    description text not null default '',
    soft_time_limit_s double precision check (soft_time_limit_s > 0),
    time_limit_s double precision check (time_limit_s > 0),
    installed boolean not null default true,
    enabled boolean not null default false,
    created_at timestamptz not null default now()
);

comment on table jobhooks.job is 'The receivers that were found: installed says that one is there, enabled that it may run';
comment on column jobhooks.job.class_path is 'module.Class, as in the receivers directory';

create table jobhooks.job_hook (
    id integer generated always as identity primary key,
    name text not null unique check (length(name) between 1 and 255),
    description text not null default '',
    job_id integer not null references jobhooks.job (id),
    events jobhooks.action [] not null check (cardinality(events) > 0),
    enabled boolean not null default true,
    enabled_since pg_snapshot not null default pg_current_snapshot(),
    created_at timestamptz not null default now()
);

comment on table jobhooks.job_hook is 'The rules: changes of these tables, by these events, run this job';
comment on column jobhooks.job_hook.enabled_since is
'Taken when the hook was last enabled: what is visible in it happened before, and does not fire';

create table jobhooks.job_hook_content_type (
    job_hook_id integer not null references jobhooks.job_hook (id) on delete cascade,
    content_type_id integer not null references jobhooks.content_type (id),
    primary key (job_hook_id, content_type_id)
);

comment on table jobhooks.job_hook_content_type is 'Which tables a hook is for';
