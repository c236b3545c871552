-- jobhooks_capture.moved_row_position(place): the place in the log of the row that this statement moved out of its partition.
--
-- place: a note of record_partition_change. It is in a setting, which an application can change at will; so the result is
-- null if it is not a place, or belongs to another statement. That is why the function is stable: it sees the log as its
-- statement does, without rows written during the statement. It addresses the row by its place only, so serializable
-- transactions have nothing to conflict over. No literal has a backslash, because a session may set its meaning.
create or replace function jobhooks_capture.moved_row_position(place text)
returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_indexscan = off
set enable_bitmapscan = off
set enable_tidscan = on
set jit = off -- these settings raise the estimated costs above jit_above_cost
as $$
declare
    part constant text[] := regexp_match(
        place, '^object_change_([0-9]{1,9}) ([(][0-3]?[0-9]{1,9},[0-9]{1,4}[)])$'
    );
    segment constant integer := part[1]::integer;
    is_older boolean;
begin
    if part is null then
        return null;
    elsif segment = substring('jobhooks.object_change_1' from '[0-9]+$')::integer then
        is_older := exists (select from only jobhooks.object_change_1 where ctid = part[2]::tid);
    elsif exists (
        -- A segment was begun in between. A writer of the former one already has this lock, and does not wait for it.
        select from pg_locks
        where pid = pg_backend_pid() and relation = to_regclass('jobhooks.object_change_' || segment)
            and mode = 'RowExclusiveLock' and granted
    ) then
        execute format('select exists (select from only jobhooks.object_change_%s where ctid = $1)', segment)
        into is_older
        using part[2]::tid;
    end if;
    return case when not is_older then place end;
end
$$;

comment on function jobhooks_capture.moved_row_position(text) is
'The place in the log of the row that this statement moved out of its partition';
