-- jobhooks.use_segment(number): have changes written to a segment of the log.
--
-- The function that writes them names the segment, since a name that is known in advance is what costs a writer nothing.
-- So it is made again, which waits for nobody: a session goes over to the new one with its next change.
create or replace function jobhooks.use_segment(number integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    execute regexp_replace(
        pg_get_functiondef('jobhooks_capture.record_change(integer, jobhooks.action, json, json)'::regprocedure),
        'insert into jobhooks\.object_change_[0-9]+', 'insert into jobhooks.object_change_' || number
    );
end
$$;

comment on function jobhooks.use_segment(integer) is 'Have changes written to a segment of the log';
