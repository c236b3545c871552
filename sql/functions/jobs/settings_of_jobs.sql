-- jobhooks.settings_of_jobs(): the settings that a job has, with the kind, limits and default of each.
--
-- setting: its name in class Meta. kind: of its value. lowest, highest: the limits of a number. optional: it may be
-- null, for no limit. standard: its default. make generate writes this from daemon/jobhooks/contract/job_settings.py.
create or replace function jobhooks.settings_of_jobs()
returns table (
    setting text, kind text, lowest double precision, highest double precision, optional boolean, standard jsonb
)
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    values
        ('name', 'name', null::double precision, null::double precision, false, 'null'::jsonb),
        ('description', 'text', null::double precision, null::double precision, false, '""'::jsonb),
        ('hidden', 'flag', null::double precision, null::double precision, false, 'false'::jsonb),
        ('grouping', 'text', null::double precision, null::double precision, false, '""'::jsonb),
        ('soft_time_limit', 'seconds', 1e-300, 315360000, true, 'null'::jsonb),
        ('time_limit', 'seconds', 1e-300, 315360000, true, 'null'::jsonb),
        ('max_attempts', 'count', 1, 100000, false, '15'::jsonb),
        ('backoff', 'backoff', 1e-300, 315360000, false, '1.0'::jsonb),
        ('no_retry_on', 'errors', null::double precision, null::double precision, false, '[]'::jsonb),
        ('retry_on', 'errors', null::double precision, null::double precision, false, '[]'::jsonb),
        ('on_failure', 'policy', null::double precision, null::double precision, false, '"block"'::jsonb),
        ('concurrency', 'count', 1, 100000, false, '8'::jsonb),
        ('order_by', 'order', null::double precision, null::double precision, false, '"object"'::jsonb),
        ('is_singleton', 'flag', null::double precision, null::double precision, false, 'false'::jsonb),
        ('queue', 'text', null::double precision, null::double precision, false, '""'::jsonb),
        ('batch_size', 'count', 1, 100000, false, 'null'::jsonb),
        ('batch_wait', 'seconds', 0, 315360000, false, '0.0'::jsonb),
        ('has_sensitive_variables', 'flag', null::double precision, null::double precision, false, 'false'::jsonb)
$$;

comment on function jobhooks.settings_of_jobs() is
'The settings that a job has, with the kind, limits and default of each';
