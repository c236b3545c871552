-- The log's segments and the functions that write to the newest one. Applied after the functions, at every installation.

-- The functions as their files have them, which name the segment 1.
delete from jobhooks.capture_template;
insert into jobhooks.capture_template (function, definition)
select
    oid::regprocedure::text,
    replace(pg_get_functiondef(oid), 'jobhooks.object_change_1', 'jobhooks.object_change_{segment}')
from pg_proc
where pronamespace = 'jobhooks_capture'::regnamespace
    and strpos(prosrc, 'jobhooks.object_change_1') > 0
    and proname <> 'departed'; -- see retired.sql

select jobhooks.prepare_segment(number) from jobhooks.log_segment;
select jobhooks.use_segment(max(number)) from jobhooks.log_segment;
