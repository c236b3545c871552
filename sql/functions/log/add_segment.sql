-- jobhooks.add_segment(): begin a new segment of the log; returns its number.
create or replace function jobhooks.add_segment()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    number constant integer := (select max(segment.number) + 1 from jobhooks.log_segment as segment);
    first_id constant bigint := coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) + 1;
begin
    execute format(
        'create table jobhooks.object_change_%1$s (constraint object_change_%1$s_pkey primary key (id))
        inherits (jobhooks.object_change)', number);
    execute format(
        'create index object_change_%1$s_transaction_id_idx on jobhooks.object_change_%1$s (transaction_id, id)', number);
    execute format('comment on table jobhooks.object_change_%s is %L', number, 'A segment of the log');
    perform jobhooks.prepare_segment(number);
    insert into jobhooks.log_segment (number, first_id) values (number, first_id);
    perform jobhooks.use_segment(number);
    return number;
end
$$;

comment on function jobhooks.add_segment() is 'Begin a new segment of the log; returns its number';
