-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is new.

-- The conditions of a hook that a program has compiled, and the result. The row holds the text that it is about: conditions that are
-- changed, by whatever statement, have no verdict until a program compiles them. A table of its own, since the daemon writes to it
-- and must neither count as an operator who changes hooks nor wake itself.
create table jobhooks.condition_verdict (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    conditions text not null,
    error text,
    checked_at timestamptz not null default clock_timestamp()
);
comment on table jobhooks.condition_verdict is 'Whether the conditions of hooks compile, as far as a program has compiled them';
comment on column jobhooks.condition_verdict.conditions is 'The text that was compiled; the verdict holds for no other';
comment on column jobhooks.condition_verdict.error is 'Why it does not compile; null: it does';
comment on column jobhooks.condition_verdict.checked_at is 'When it was compiled';
