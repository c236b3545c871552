-- jobhooks.use_segment(number): write changes to this segment of the log from now on.
--
-- The functions that write changes name the segment, since a name that is known in advance costs a writer nothing. They are
-- created again from jobhooks.capture_template. That waits for no writer: a session uses the new function from its next
-- change on.
create or replace function jobhooks.use_segment(number integer)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    statement text;
begin
    for statement in
        select replace(definition, '{segment}', number::text) from jobhooks.capture_template
    loop
        execute statement;
    end loop;
end
$$;

comment on function jobhooks.use_segment(integer) is 'Write changes to this segment of the log from now on';
