-- jobhooks_capture.moved_row_position(place): where in the log the row is that the running statement has moved out of its partition.
--
-- place: what record_partition_change noted. It is in a setting, which an application can change at will; so null if it is
-- none, or not of this statement. That is why the function is stable: it sees what its statement sees, in which a row that
-- was written during the statement is not. Only by its place is a row of the log read here and there, which leaves no
-- trace for serializable transactions to conflict over; hence the settings. No backslash is in a literal, since a session
-- may set what that means.
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
        -- A segment was begun in between. Whoever has written to the former one has this lock, and need not wait for it.
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
'Where in the log the row is that the running statement has moved out of its partition';
