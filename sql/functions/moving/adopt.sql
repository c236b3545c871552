-- jobhooks.adopt(): make this database's cursor its own, from now on.
--
-- For a copy of a database: its cursor refers to another server's transactions, and its log has changes that the original's
-- daemon delivers. Changes in the log now count as seen: by id, because their transaction ids mean nothing here and may occur
-- again. For the same database in another place there is jobhooks.adopt_moved.
create or replace function jobhooks.adopt()
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform jobhooks.begin_adoption();
    update jobhooks.cursor
    set first_id = coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0),
        seen = pg_current_snapshot(),
        seen_floor = 0,
        horizon = pg_current_snapshot(),
        horizon_floor = 0,
        last_id = 0,
        saved_at = clock_timestamp(),
        leader_ended = true, -- the original's process did not run here
        doubted_processes = '{}';
    update jobhooks.job_hook set enabled_since = pg_current_snapshot();
    delete from jobhooks.hook_position;
    delete from jobhooks.delivery;
    delete from jobhooks.suspect;
    perform jobhooks.end_adoption();
end
$$;

comment on function jobhooks.adopt() is 'Make this database''s cursor its own, from now on: for a copy of a database';
