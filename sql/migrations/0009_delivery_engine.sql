-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; these are jobhooks' own, whose daemon does
-- not run with another version's SQL.

-- What the engine needs: debts that know their lane, results that are named by what they are of, limits of jobs, a word for
-- who leads, and a version of hooks and jobs.

-- A result is found by its delivery and attempt, and one index on it is all that each acknowledgement should cost.
alter table jobhooks.job_log_entry
add column change_id bigint, add column hook_id integer, add column attempt integer;
update jobhooks.job_log_entry as entry
set change_id = result.change_id, hook_id = result.hook_id, attempt = result.attempt
from jobhooks.job_result as result
where result.id = entry.job_result_id;
alter table jobhooks.job_log_entry
drop column job_result_id cascade,
alter column change_id set not null,
alter column hook_id set not null,
alter column attempt set not null,
add primary key (change_id, hook_id, attempt, line);

alter table jobhooks.job_result
drop column id cascade,
drop constraint job_result_once,
drop constraint job_result_status_check,
drop constraint failure_has_an_error,
add primary key (change_id, hook_id, attempt),
add constraint job_result_status_check check (status in ('success', 'failure', 'discarded')),
add constraint failure_has_an_error check ((status = 'success') = (error is null));
comment on column jobhooks.job_result.status is
'discarded: by the receiver, or by whoever decided so; then error is the reason';

-- Those that are there are all dead, and nothing waited for them.
alter table jobhooks.delivery
add column content_type_id integer,
add column lane bigint,
add column other_lane bigint,
add column blocks boolean not null default true,
add column failures integer not null default 0 check (failures >= 0),
drop constraint delivery_status_check,
drop constraint waiting_is_due,
add constraint delivery_status_check check (status in ('waiting', 'blocked', 'dead')),
add constraint waiting_is_due check ((status = 'waiting') = (due_at is not null)),
add constraint other_lane_is_second check (lane is not null or other_lane is null);
update jobhooks.delivery
set content_type_id = change.content_type_id, failures = attempts, blocks = false
from jobhooks.object_change as change
where change.id = delivery.change_id;
delete from jobhooks.delivery where content_type_id is null;
alter table jobhooks.delivery alter column content_type_id set not null;
create index delivery_due on jobhooks.delivery (hook_id, due_at, change_id) where status = 'waiting';
create index delivery_lane on jobhooks.delivery (hook_id, lane, change_id) where blocks;
create index delivery_other_lane on jobhooks.delivery (hook_id, other_lane, change_id) where blocks and other_lane is not null;
create index delivery_table_lane on jobhooks.delivery (hook_id, content_type_id, change_id) where blocks and lane is null;
create index delivery_of_table on jobhooks.delivery (hook_id, content_type_id, change_id) where blocks;
comment on column jobhooks.delivery.status is
'waiting: will be attempted when due; blocked: behind an older debt of its lane; dead: kept until someone decides';
comment on column jobhooks.delivery.lane is
'A number for the object, by which its deliveries are kept in order; null: in order with all of the table';
comment on column jobhooks.delivery.other_lane is 'The lane of the new key, where an update changed the key';
comment on column jobhooks.delivery.blocks is 'Later deliveries of its lane wait for it';
comment on column jobhooks.delivery.attempts is 'Of all times: the number of the last attempt that has a result';
comment on column jobhooks.delivery.failures is 'Since it was parked, or last retried by hand: they decide when it is due, or dead';

alter table jobhooks.job
add column max_attempts integer not null default 15 check (max_attempts > 0),
add column backoff_s double precision not null default 1 check (backoff_s >= 0),
add column on_failure text not null default 'block' check (on_failure in ('block', 'skip')),
add column concurrency integer not null default 8 check (concurrency > 0);
comment on column jobhooks.job.max_attempts is 'After so many failures a delivery is dead';
comment on column jobhooks.job.backoff_s is 'Seconds before the second attempt; doubled with each attempt that fails';
comment on column jobhooks.job.on_failure is
'What the later changes of an object do while one of it has failed. block: wait; skip: go on';
comment on column jobhooks.job.concurrency is 'How many deliveries of one hook may run at a time';

alter table jobhooks.cursor add column leader bigint not null default 0;
comment on column jobhooks.cursor.leader is
'Counts the daemons that have led. A daemon that finds another number than its own leads no more';

create table jobhooks.configuration (
    singleton boolean primary key default true check (singleton),
    version bigint not null
);
comment on table jobhooks.configuration is 'One row: a number that changes with each change of a hook, a job or a watched table';
insert into jobhooks.configuration (version) values (1);

-- Functions come with every installation, and go with a migration.
drop function if exists jobhooks.park_dead(bigint, integer, integer);
drop function if exists jobhooks.record_result(
    bigint, integer, integer, text, timestamptz, text, text, json, boolean
);
