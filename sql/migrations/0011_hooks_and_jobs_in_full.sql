-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own, whose daemon does
-- not run with another version's SQL.

-- What a hook can ask for, what a receiver says about itself, what an operator says otherwise, what a run returned, and who
-- changed a hook or a job.
alter table jobhooks.job_hook
add column columns text [] not null default '{}',
add column conditions text not null default '',
add column coalesce_s double precision check (coalesce_s between 0 and 86400),
add column priority integer not null default 0;
comment on column jobhooks.job_hook.columns is 'An update fires only if one of these columns changed; empty: whichever changed';
comment on column jobhooks.job_hook.conditions is 'An expression in CEL that a change must satisfy; empty: none';
comment on column jobhooks.job_hook.priority is 'In lists the higher is before the lower; it changes nothing else';
comment on column jobhooks.job_hook.coalesce_s is
'Changes of an object are delivered as one: those of one transaction (0), or of so many seconds; null: each by itself';

alter table jobhooks.job
add column hidden boolean not null default false,
add column grouping text not null default '',
add column has_sensitive_variables boolean not null default false,
add column queue text not null default '',
add column is_singleton boolean not null default false,
add column order_by text not null default 'object' check (order_by in ('object', 'table', 'none', 'columns')),
add column order_columns text [] not null default '{}',
add column batch_size integer check (batch_size > 0),
add column batch_wait_s double precision not null default 0 check (batch_wait_s >= 0),
add column overrides jsonb not null default '{}' check (jsonb_typeof(overrides) = 'object'),
add constraint order_columns_are_named check ((order_by = 'columns') = (cardinality(order_columns) > 0));
comment on column jobhooks.job.hidden is 'Left out of lists unless they are asked for all';
comment on column jobhooks.job.grouping is 'Under which heading it is listed';
comment on column jobhooks.job.has_sensitive_variables is
'What it works with is nobody else''s business: neither what it returns nor the text of its errors is stored';
comment on column jobhooks.job.queue is 'Jobs of one queue share their runs: as many at a time as the lowest concurrency among them';
comment on column jobhooks.job.is_singleton is 'One delivery of all its hooks runs at a time';
comment on column jobhooks.job.order_by is
'What is delivered in order. object: the changes of an object; table: of a table; columns: those that agree in order_columns; none';
comment on column jobhooks.job.order_columns is 'Of rows that agree in these columns the changes are delivered in order';
comment on column jobhooks.job.batch_size is 'It takes up to so many changes in one call; null: one';
comment on column jobhooks.job.batch_wait_s is 'Seconds for which a call waits for more changes than there are';
comment on column jobhooks.job.overrides is
'What an operator says instead of the receiver, by the name of the column: jobhooks job set, jobhooks job reset';

alter table jobhooks.job_result add column value json;
comment on column jobhooks.job_result.value is 'What the receiver returned; null where that was nothing, or nothing that JSON has';

-- What people look for, among very many results that are of no interest, which these cost nothing.
create index job_result_unsuccessful on jobhooks.job_result (change_id, hook_id, attempt) where status <> 'success';
create index job_log_entry_alarming on jobhooks.job_log_entry (change_id, hook_id, attempt, line)
where level in ('warning', 'failure');

alter table jobhooks.cursor add column leader_since timestamptz;
comment on column jobhooks.cursor.leader_since is 'When the last daemon to lead began to; whether it still does, its lock tells';

create table jobhooks.configuration_change (
    id bigint generated always as identity primary key,
    time timestamptz not null default clock_timestamp(),
    kind text not null check (kind in ('hook', 'job')),
    object_id integer not null,
    name text not null,
    action text not null check (action in ('create', 'update', 'delete')),
    user_name text not null,
    before json,
    after json,
    constraint before_and_after check (
        (before is null) = (action = 'create') and (after is null) = (action = 'delete')
    )
);
create index configuration_change_of_object on jobhooks.configuration_change (kind, object_id, id);
comment on table jobhooks.configuration_change is 'Who changed which hook or job, and how';
comment on column jobhooks.configuration_change.kind is 'hook: jobhooks.job_hook, with its tables; job: jobhooks.job';
comment on column jobhooks.configuration_change.object_id is 'Which, perhaps gone by now';
comment on column jobhooks.configuration_change.name is 'What it was called: the name of a hook, the class path of a job';
comment on column jobhooks.configuration_change.user_name is 'As the session said it in jobhooks.user_name, else the role that connected';
comment on column jobhooks.configuration_change.before is 'As it was; null on create';
comment on column jobhooks.configuration_change.after is 'As it is since; null on delete';

create table jobhooks.condition_failure (
    hook_id integer primary key references jobhooks.job_hook (id) on delete cascade,
    failures bigint not null check (failures >= 0),
    change_id bigint,
    invalid boolean not null,
    error text not null,
    time timestamptz not null default clock_timestamp(),
    constraint a_change_failed_or_all_will check ((change_id is null) = (failures = 0) and (change_id is not null or invalid))
);
comment on table jobhooks.condition_failure is 'Hooks whose conditions could not be evaluated, so that changes passed them by';
comment on column jobhooks.condition_failure.failures is 'For about how many changes, since the conditions were last changed';
comment on column jobhooks.condition_failure.change_id is 'The last of them; null where there was none yet';
comment on column jobhooks.condition_failure.invalid is 'The conditions cannot be evaluated for any change';
comment on column jobhooks.condition_failure.error is 'Why that one could not be, or none can';
comment on column jobhooks.condition_failure.time is 'When that was';

-- What is there begins its history here.
insert into jobhooks.configuration_change (kind, object_id, name, action, user_name, after)
select 'job', job.id, job.class_path, 'create', session_user, (to_jsonb(job) - array['id', 'created_at'])::json
from jobhooks.job
union all
select
    'hook', hook.id, hook.name, 'create', session_user,
    json_build_object(
        'name', hook.name,
        'content_types', array(
            select coalesce(quote_ident(namespace.nspname) || '.' || quote_ident(class.relname), content_type.name)
            from jobhooks.job_hook_content_type as link
            join jobhooks.content_type as content_type on content_type.id = link.content_type_id
            left join pg_class as class on class.oid = content_type.relation
            left join pg_namespace as namespace on namespace.oid = class.relnamespace
            where link.job_hook_id = hook.id
            order by 1
        ),
        'events', hook.events,
        'job', job.class_path,
        'enabled', hook.enabled,
        'priority', hook.priority,
        'description', hook.description,
        'columns', hook.columns,
        'conditions', hook.conditions,
        'coalesce_s', hook.coalesce_s
    )
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id;

-- Functions come with every installation, and go with a migration.
drop function if exists jobhooks.add_hook(text, text [], text [], text, text);

-- Functions come with every installation, and go with a migration.
drop function if exists jobhooks.record_result(
    bigint, integer, integer, integer, text, double precision, double precision, text, json
);
