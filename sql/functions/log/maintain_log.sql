-- jobhooks.maintain_log(retention, segment_size): begin a new segment of the log when it is time, and drop the oldest ones.
--
-- The daemon calls it now and then. It returns a description of its actions; empty if there were no actions. Security
-- definer, because it creates and drops tables. A segment is full after segment_size ids, or after an eighth of the
-- retention: so changes stay at most an eighth longer, and nothing is ever deleted row by row from the log. Pending deliveries to
-- hooks that are gone are deleted: no daemon attempts them.
create or replace function jobhooks.maintain_log(retention interval, segment_size bigint default 10000000)
returns text
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    newest jobhooks.log_segment;
    handed_out bigint;
    done text[] := array[]::text[];
    dropped integer;
begin
    begin
        lock table jobhooks.log_segment in share update exclusive mode; -- only its owner can, so no other role keeps it
    exception when lock_not_available then
        return ''; -- another session is doing this
    end;
    -- Read after the lock was granted: its previous holder may have begun a segment.
    newest := (select s from jobhooks.log_segment as s order by number desc limit 1);
    handed_out := coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0);
    if handed_out >= newest.first_id
        and (handed_out - newest.first_id + 1 >= segment_size or newest.created_at < now() - retention / 8) then
        done := done || format('began segment %s of the log', jobhooks.add_segment());
    end if;
    begin
        -- Each would keep its change for ever. A position can be saved while its hook is deleted.
        delete from jobhooks.delivery as delivery
        where not exists (select from jobhooks.job_hook as hook where hook.id = delivery.hook_id);
        delete from jobhooks.hook_position as position
        where not exists (select from jobhooks.job_hook as hook where hook.id = position.hook_id);
        dropped := jobhooks.drop_old_segment(retention);
    exception when lock_not_available or deadlock_detected then
        dropped := null; -- a session reads it or still writes to it: the next time
    end;
    if dropped is not null then
        done := done || format('dropped segment %s of the log', dropped);
    end if;
    return array_to_string(done, '; ');
end
$$;

comment on function jobhooks.maintain_log(interval, bigint) is
'Begin a new segment of the log when it is time, and drop the oldest ones; returns a description';
