-- jobhooks.known_to_reader(): the greatest id that a saved position, a result or a row of the backlog has.
--
-- In a database that was moved, changes up to it are from the former place, and the saved snapshots tell which of them were read.
create or replace function jobhooks.known_to_reader()
returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select greatest(
        (select greatest(cursor.horizon_floor, cursor.last_id, cursor.first_id) from jobhooks.cursor),
        (select max(greatest(position.horizon_floor, position.last_id)) from jobhooks.hook_position as position),
        (select max(result.change_id) from jobhooks.job_result as result),
        (select max(delivery.change_id) from jobhooks.delivery as delivery)
    )
$$;

comment on function jobhooks.known_to_reader() is
'The greatest id that a saved position, a result or a row of the backlog has';
