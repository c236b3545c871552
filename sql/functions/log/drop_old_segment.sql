-- jobhooks.drop_old_segment(retention): drop the oldest segment of the log if it is past its time; returns its number.
--
-- A segment is past its time when all its changes are older than the retention and settled: the reader is past them, and so is
-- each hook that reads alone; or no hook could want them. Results go after their changes, so those above the lowest position stay,
-- and a hook that reads a change again finds its result. Changes with pending deliveries move to the next segment first. It
-- raises if a session uses the segment.
create or replace function jobhooks.drop_old_segment(retention interval)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    oldest constant jobhooks.log_segment := (select s from jobhooks.log_segment as s order by number limit 1);
    next constant jobhooks.log_segment := (
        select s from jobhooks.log_segment as s where s.number > oldest.number order by number limit 1
    );
    enabled_hooks constant integer [] := array(
        select hook.id from jobhooks.job_hook as hook join jobhooks.job on job.id = hook.job_id where hook.enabled and job.enabled
    );
    last_time timestamptz;
    last_id bigint;
    last_transaction bigint;
    unread boolean;
begin
    -- The second: a statement that began before the next segment did, and writes its first change now, looks for this one.
    if next.number is null or next.created_at > now() - retention / 8 then
        return null;
    end if;
    execute format('lock table jobhooks.object_change_%s in access exclusive mode', oldest.number);
    execute format('select id, time from jobhooks.object_change_%s order by id desc limit 1', oldest.number)
    into last_id, last_time;
    execute format('select max(transaction_id::text::bigint) from (
        select transaction_id from jobhooks.object_change_%s order by transaction_id desc limit 1
    ) as last_one', oldest.number) into last_transaction;
    -- Up to the low-water id of a snapshot, only changes of transactions that it lists as in progress can be unread. Above it,
    -- those of transactions from its xmin on. In a database that was moved, changes up to first_id have ids of another server.
    execute format(
        'select exists (
            select
            from (
                select cursor.seen, cursor.seen_floor from jobhooks.cursor
                union all
                select own.seen, own.seen_floor from jobhooks.hook_position as own where own.hook_id = any ($1)
            ) as position
            where $2 > position.seen_floor and pg_snapshot_xmin(position.seen)::text::bigint <= $3
                or exists (
                    select from pg_snapshot_xip(position.seen) as straggler (transaction_id)
                    join jobhooks.object_change_%s as change on change.transaction_id = straggler.transaction_id
                    where change.id > $4
                )
        )', oldest.number
    ) into unread using enabled_hooks, last_id, last_transaction, (select cursor.first_id from jobhooks.cursor);
    if last_time > now() - retention or (
        enabled_hooks <> '{}' and unread and last_id > (select cursor.first_id from jobhooks.cursor)
    ) then
        return null;
    end if;

    execute format(
        'insert into jobhooks.object_change_%s select * from jobhooks.object_change_%s as change
        where exists (select from jobhooks.delivery where change_id = change.id)', next.number, oldest.number);
    execute format('drop table jobhooks.object_change_%s', oldest.number);
    delete from jobhooks.log_segment where number = oldest.number;
    return oldest.number;
end
$$;

comment on function jobhooks.drop_old_segment(interval) is
'Drop the oldest segment of the log if it is past its time; returns its number';
