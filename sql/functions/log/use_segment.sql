-- jobhooks.use_segment(number): have changes written to a segment of the log.
--
-- The functions that write them name the segment, since a name that is known in advance is what costs a writer nothing.
-- So they are made again, which waits for nobody: a session goes over to the new one with its next change.
create or replace function jobhooks.use_segment(number integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    definition text;
begin
    for definition in
        select pg_get_functiondef(oid)
        from pg_proc
        where pronamespace = 'jobhooks_capture'::regnamespace and prosrc ~ 'jobhooks\.object_change_[0-9]+'
    loop
        execute regexp_replace(definition, 'jobhooks\.object_change_[0-9]+', 'jobhooks.object_change_' || number, 'g');
    end loop;
end
$$;

comment on function jobhooks.use_segment(integer) is 'Have changes written to a segment of the log';
