-- jobhooks.keep_lines(change_id, hook_id, attempt): give the lines that a run has logged so far to the result of its attempt.
create or replace function jobhooks.keep_lines(change_id bigint, hook_id integer, attempt integer)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.job_log_entry (change_id, hook_id, attempt, line, level, time, object, message, grouping, source)
    select
        entry.change_id, entry.hook_id, keep_lines.attempt, entry.line, entry.level, entry.time, entry.object, entry.message,
        entry.grouping, entry.source
    from jobhooks.running_log_entry as entry
    join jobhooks.running_delivery as running
        on running.change_id = entry.change_id and running.hook_id = entry.hook_id and running.attempt = keep_lines.attempt
    where entry.change_id = keep_lines.change_id and entry.hook_id = keep_lines.hook_id
    on conflict do nothing
$$;

comment on function jobhooks.keep_lines(bigint, integer, integer) is
'Give the lines that a run has logged so far to the result of its attempt';
