-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

alter table jobhooks.job_log_entry
    add column grouping text,
    add column source text,
    drop constraint job_log_entry_level_check,
    add constraint job_log_entry_level_check
        check (level in ('debug', 'info', 'success', 'warning', 'failure', 'error', 'critical')) not valid;
-- The rows that are there satisfied the narrower check, so none is read.
comment on column jobhooks.job_log_entry.grouping is 'The label that the receiver gave the line, if any';
comment on column jobhooks.job_log_entry.source is
'The logger or the stream that the line came from; null: the log of the run';

drop index jobhooks.job_log_entry_alarming;
create index job_log_entry_alarming on jobhooks.job_log_entry (change_id, hook_id, attempt, line)
where level in ('warning', 'failure', 'error', 'critical');
