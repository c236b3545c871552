-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own, whose daemon does
-- not run with another version's SQL.

-- The settings of a job become one JSON object, by the names of class Meta, so that a new setting needs no column. The trigger
-- check_job_settings checks them as the columns' constraints did. A type is changed, and no row updated: so no trigger runs.
drop trigger if exists check_overrides on jobhooks.job;
drop function if exists jobhooks.check_overrides();
drop function if exists jobhooks.refusal_of_setting(text, jsonb);
drop function if exists jobhooks.settings_of_jobs();
drop view if exists jobhooks.jobs;

create function jobhooks.renamed_settings(settings jsonb)
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        jsonb_object_agg(
            case when key = any ('{soft_time_limit_s,time_limit_s,backoff_s,batch_wait_s}') then left(key, -2) else key end,
            case when key = 'order_by' and value = '"columns"' then settings -> 'order_columns' else value end
        ) filter (where key <> 'order_columns'), '{}'
    )
    from jsonb_each(settings)
$$;

alter table jobhooks.job add column settings jsonb not null default '{}' check (jsonb_typeof(settings) = 'object');
alter table jobhooks.job
alter column settings type jsonb using jobhooks.renamed_settings(jsonb_build_object(
    'name', name,
    'description', description,
    'hidden', hidden,
    'grouping', grouping,
    'soft_time_limit', soft_time_limit_s,
    'time_limit', time_limit_s,
    'max_attempts', max_attempts,
    'backoff', backoff_s,
    'on_failure', on_failure,
    'concurrency', concurrency,
    'has_sensitive_variables', has_sensitive_variables,
    'queue', queue,
    'is_singleton', is_singleton,
    'order_by', order_by,
    'order_columns', order_columns,
    'batch_size', batch_size,
    'batch_wait', batch_wait_s
)),
alter column overrides type jsonb using jobhooks.renamed_settings(overrides);
alter table jobhooks.job
drop column name,
drop column description,
drop column hidden,
drop column grouping,
drop column soft_time_limit_s,
drop column time_limit_s,
drop column max_attempts,
drop column backoff_s,
drop column on_failure,
drop column concurrency,
drop column has_sensitive_variables,
drop column queue,
drop column is_singleton,
drop column order_by,
drop column order_columns,
drop column batch_size,
drop column batch_wait_s;
comment on column jobhooks.job.settings is 'What the receiver states in its class Meta, by the names of Meta';
comment on column jobhooks.job.overrides is
'What an operator sets instead of the receiver, by the names of Meta: jobhooks job set, jobhooks job reset';

-- The history by the same names, so that the next change of a job shows only what changes.
update jobhooks.configuration_change
set before = case
        when before is not null then jobhooks.renamed_settings(before::jsonb)
            || jsonb_build_object('overrides', jobhooks.renamed_settings(coalesce(before::jsonb -> 'overrides', '{}')))
    end::json,
    after = case
        when after is not null then jobhooks.renamed_settings(after::jsonb)
            || jsonb_build_object('overrides', jobhooks.renamed_settings(coalesce(after::jsonb -> 'overrides', '{}')))
    end::json
where kind = 'job';
drop function jobhooks.renamed_settings(jsonb);
