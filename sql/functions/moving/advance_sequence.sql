-- jobhooks.advance_sequence(): set the log's sequence to the greatest id that was handed out, after a restore without sequences.
--
-- Security definer: writers do it in a database that was not adopted yet. It never goes back: one session sets the sequence, and
-- the others wait until it did, not until that transaction ends.
create or replace function jobhooks.advance_sequence()
returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    greatest_id constant bigint := jobhooks.greatest_change_id();
begin
    while coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) < greatest_id loop
        begin
            lock table jobhooks.log_segment in share row exclusive mode nowait; -- only its owner can
            if coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) < greatest_id then
                perform setval('jobhooks.object_change_id_seq', greatest_id);
            end if;
        exception when lock_not_available then
            perform pg_sleep(0.01);
        end;
    end loop;
end
$$;

comment on function jobhooks.advance_sequence() is
'Set the log''s sequence to the greatest id that was handed out, after a restore without sequences';
