-- jobhooks.drop_old_results(retention, after): delete a batch of results whose changes are gone; returns its last change's id.
--
-- Results are dropped after their changes: until then they prevent repeated runs. So are log lines whose attempt has no result,
-- because its hook was deleted after the run was interrupted. after: the id that the previous batch
-- returned, so that a batch does not search where the previous one deleted. Returns null at the end.
create or replace function jobhooks.drop_old_results(retention interval, after bigint)
returns bigint
language sql
set search_path = pg_catalog, pg_temp
as $$
    with batch as (
        select result.change_id, result.hook_id, result.attempt
        from jobhooks.job_result as result
        where result.change_id > drop_old_results.after
            and result.change_id < (select min(segment.first_id) from jobhooks.log_segment as segment)
        order by result.change_id, result.hook_id, result.attempt
        limit 10000
    ),
    old as (
        delete from jobhooks.job_result as result
        using batch
        where result.change_id = batch.change_id and result.hook_id = batch.hook_id and result.attempt = batch.attempt
            and result.finished_at < now() - drop_old_results.retention
            and not exists (
                select from jobhooks.delivery
                where delivery.change_id = batch.change_id and delivery.hook_id = batch.hook_id
            )
        returning result.change_id, result.hook_id, result.attempt
    ),
    lines as (
        delete from jobhooks.job_log_entry as entry
        using old
        where entry.change_id = old.change_id and entry.hook_id = old.hook_id and entry.attempt = old.attempt
    ),
    left_lines as (
        delete from jobhooks.job_log_entry as entry
        where entry.change_id > drop_old_results.after
            and entry.change_id < (select min(segment.first_id) from jobhooks.log_segment as segment)
            and entry.change_id <= (select case when count(*) = 10000 then max(batch.change_id) else 9223372036854775807 end from batch)
            and not exists (
                select from jobhooks.job_result as result
                where result.change_id = entry.change_id and result.hook_id = entry.hook_id and result.attempt = entry.attempt
            )
            and not exists (
                select from jobhooks.delivery
                where delivery.change_id = entry.change_id and delivery.hook_id = entry.hook_id
            )
    )
    -- One less: a change's results may be on both sides of the limit.
    select case when count(*) = 10000 then max(batch.change_id) - 1 end from batch
$$;

comment on function jobhooks.drop_old_results(interval, bigint) is
'Delete a batch of results whose changes are gone; returns its last change''s id';
