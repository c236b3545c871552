-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own.
set local lock_timeout = '5s';

-- Data that a hook passes to its receiver, so that hooks of one job can differ in what they make of a change.
alter table jobhooks.job_hook add column data jsonb not null default '{}';
comment on column jobhooks.job_hook.data is 'What it passes to its receiver: self.hook.data. Viewers can read it';

-- The receiver's class Data, as a person or a form needs it. The class itself checks data.
alter table jobhooks.job add column data_schema jsonb;
comment on column jobhooks.job.data_schema is 'The JSON Schema of the class Data of its receiver; null: it has none';

-- Whether a program that has the receiver's code took the data of a hook. The row holds the data that it is about: data that are changed,
-- by whatever statement, have no verdict until a program checks them. A separate table, as that of the verdicts on conditions.
create table jobhooks.data_verdict (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    job_id integer not null,
    data jsonb not null,
    error text,
    checked_at timestamptz not null default clock_timestamp()
);
comment on table jobhooks.data_verdict is 'Whether receivers take the data of hooks, as far as a program has checked that';
comment on column jobhooks.data_verdict.job_id is 'The job whose receiver checked the data; the verdict holds for no other';
comment on column jobhooks.data_verdict.data is 'The data that were checked; the verdict holds for no other';
comment on column jobhooks.data_verdict.error is 'Why the receiver does not take them; null: it does';
comment on column jobhooks.data_verdict.checked_at is 'When they were checked';

-- The check of a hook's targets depends on one more column; the functions create it again.
drop trigger if exists check_hook_targets on jobhooks.job_hook;

-- So that the next change of a hook does not show it.
update jobhooks.configuration_change
set after = after::jsonb || '{"data": {}}'
where kind = 'hook' and after is not null;
