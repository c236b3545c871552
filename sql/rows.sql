-- Rows without which jobhooks does not work. Applied after the functions, at every installation: they are missing after a restore
-- of the schema without its data.
insert into jobhooks.configuration (version) values (1) on conflict do nothing;

insert into jobhooks.log_segment (number, first_id)
select substring(relname from '[0-9]+$')::integer, 1
from pg_class
where relnamespace = 'jobhooks'::regnamespace and relkind = 'r' and relname ~ '^object_change_[0-9]{1,9}$'
on conflict do nothing;

-- Changes in the log count as seen. If hooks of another database are here, its cursor was left out: then the database counts as a
-- copy, until jobhooks adopt.
insert into jobhooks.cursor (seen, seen_floor, horizon, horizon_floor, first_id, system_identifier, database_oid)
select
    pg_current_snapshot(), 0, pg_current_snapshot(), 0,
    greatest(coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0), jobhooks.greatest_change_id()),
    case
        when exists (select from jobhooks.job_hook) or exists (select from jobhooks.delivery) then 0
        else control.system_identifier
    end,
    (select oid from pg_database where datname = current_database())
from pg_control_system() as control
where not exists (select from jobhooks.cursor);

-- A dump has the numbers of sequences, but a restore of some tables leaves them out.
select jobhooks.advance_sequence();

select jobhooks.recover_content_types();
-- Deferred triggers of these rows would stop the change of owners that follows.
set constraints all immediate;
set constraints all deferred;

select jobhooks.note_database();
