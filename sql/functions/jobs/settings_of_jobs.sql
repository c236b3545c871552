-- jobhooks.settings_of_jobs(): what an operator can say of a job instead of its receiver.
--
-- setting: its name in class Meta, as people say it; null for what is set together with the one before it. column_name: where it
-- is in jobhooks.job and jobhooks.jobs. kind: what it can be. lowest, highest: between them is a number. optional: it may be null,
-- which is no limit.
create or replace function jobhooks.settings_of_jobs()
returns table (
    setting text, column_name text, kind text, lowest double precision, highest double precision, optional boolean
)
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    values
        ('name', 'name', 'name', null::double precision, null::double precision, false),
        ('description', 'description', 'text', null, null, false),
        ('hidden', 'hidden', 'flag', null, null, false),
        ('grouping', 'grouping', 'text', null, null, false),
        ('soft_time_limit', 'soft_time_limit_s', 'seconds', 1e-300, 315360000, true),
        ('time_limit', 'time_limit_s', 'seconds', 1e-300, 315360000, true),
        ('max_attempts', 'max_attempts', 'count', 1, 100000, false),
        ('backoff', 'backoff_s', 'seconds', 1e-300, 315360000, false),
        ('on_failure', 'on_failure', 'policy', null, null, false),
        ('concurrency', 'concurrency', 'count', 1, 100000, false),
        ('has_sensitive_variables', 'has_sensitive_variables', 'flag', null, null, false),
        ('queue', 'queue', 'text', null, null, false),
        ('is_singleton', 'is_singleton', 'flag', null, null, false),
        ('order_by', 'order_by', 'order', null, null, false),
        (null, 'order_columns', 'columns', null, null, false),
        ('batch_size', 'batch_size', 'count', 1, 100000, false),
        ('batch_wait', 'batch_wait_s', 'seconds', 0, 315360000, false)
$$;

comment on function jobhooks.settings_of_jobs() is 'What an operator can say of a job instead of its receiver';
