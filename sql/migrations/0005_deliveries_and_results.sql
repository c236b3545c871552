-- What became of the deliveries. No foreign keys to changes and hooks: results outlive both.
create table jobhooks.job_result (
    id bigint generated always as identity primary key,
    change_id bigint not null,
    hook_id integer not null,
    job_id integer not null,
    attempt integer not null check (attempt > 0),
    status text not null check (status in ('success', 'failure')),
    started_at timestamptz not null,
    finished_at timestamptz not null default clock_timestamp(),
    error text,
    traceback text,
    constraint job_result_once unique (change_id, hook_id, attempt),
    constraint failure_has_an_error check ((status = 'failure') = (error is not null))
);

comment on table jobhooks.job_result is
'What each attempt at a delivery did. The row is the acknowledgement: it commits with what the receiver wrote';

create table jobhooks.job_log_entry (
    job_result_id bigint not null references jobhooks.job_result (id) on delete cascade,
    line integer not null check (line > 0),
    level text not null check (level in ('debug', 'info', 'success', 'warning', 'failure')),
    time timestamptz not null,
    object text,
    message text not null,
    primary key (job_result_id, line)
);

comment on table jobhooks.job_log_entry is 'The lines that receivers logged';
comment on column jobhooks.job_log_entry.object is 'What the line is about, where the receiver named it';

create table jobhooks.delivery (
    change_id bigint not null,
    hook_id integer not null,
    status text not null check (status in ('waiting', 'dead')),
    attempts integer not null default 0 check (attempts >= 0),
    due_at timestamptz,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (change_id, hook_id),
    constraint waiting_is_due check ((status = 'waiting') = (due_at is not null))
);

comment on table jobhooks.delivery is 'Debts only: deliveries that were parked and are not settled';
comment on column jobhooks.delivery.status is 'waiting: will be attempted when due; dead: kept until someone decides';
