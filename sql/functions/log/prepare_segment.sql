-- jobhooks.prepare_segment(number): give a segment of the log its privileges, its trigger, and lz4 where the server has it.
create or replace function jobhooks.prepare_segment(number integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    segment constant text := 'jobhooks.object_change_' || number;
    methods constant text[] := (select enumvals from pg_settings where name = 'default_toast_compression');
begin
    if to_regrole('jobhooks_capture') is not null then
        execute format('grant insert, select, update (action, postchange) on %s to jobhooks_capture', segment);
    end if;
    perform jobhooks.add_replication_trigger(segment::regclass);
    -- Only if it is not set yet: it locks the segment, and the application writes to it.
    if 'lz4' = any (methods) and exists (
        select from pg_attribute
        where attrelid = segment::regclass and attname in ('prechange', 'postchange') and attcompression <> 'l'
    ) then
        execute format(
            'alter table %s alter column prechange set compression lz4, alter column postchange set compression lz4', segment
        );
    end if;
end
$$;

comment on function jobhooks.prepare_segment(integer) is
'Give a segment of the log its privileges, its trigger, and lz4 where the server has it';
