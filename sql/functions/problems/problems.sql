-- jobhooks.problems(retention, segment_size): all problems with their cause and remedy; errors first.
--
-- severity: error, something configured does not happen; warning, it fails in some cases, or is not safe; note,
-- useful to know. subject: a table by its name, or another thing. Reads only, and works for members of jobhooks_viewer.
-- retention, segment_size: as the daemon's. Each kind of problem has a separate function.
create or replace function jobhooks.problems(retention interval default '30 days', segment_size bigint default 10000000)
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select found.severity, found.subject, found.problem, found.remedy
    from (
        select * from jobhooks.problems_of_tables()
        union all select * from jobhooks.problems_of_keys()
        union all select * from jobhooks.problems_of_parents()
        union all select * from jobhooks.problems_of_columns()
        union all select * from jobhooks.problems_of_casts()
        union all select * from jobhooks.problems_of_wide_rows()
        union all select * from jobhooks.problems_of_triggers()
        union all select * from jobhooks.problems_of_capture()
        union all select * from jobhooks.problems_of_partitions()
        union all select * from jobhooks.problems_of_hooks()
        union all select * from jobhooks.problems_of_receivers()
        union all select * from jobhooks.problems_of_names_in_hooks()
        union all select * from jobhooks.problems_of_conditions()
        union all select * from jobhooks.problems_of_data()
        union all select * from jobhooks.problems_of_chains()
        union all select * from jobhooks.problems_of_deliveries()
        union all select * from jobhooks.problems_of_positions()
        union all select * from jobhooks.problems_of_crashes()
        union all select * from jobhooks.problems_of_leader()
        union all select * from jobhooks.problems_of_log(problems.retention, problems.segment_size)
        union all select * from jobhooks.problems_of_marks()
        union all select * from jobhooks.problems_of_roles()
        union all select * from jobhooks.problems_of_server()
        union all select * from jobhooks.problems_of_publications()
    ) as found
    order by array_position(array['error', 'warning', 'note'], found.severity), found.subject, found.problem
$$;

comment on function jobhooks.problems(interval, bigint) is 'All problems with their cause and remedy; errors first';
