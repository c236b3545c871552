-- jobhooks.save_rates(leader, buckets): save the used parts of the rates of hooks; false if another daemon leads.
--
-- buckets: [{hook_id, key, full_in}], with the seconds until all of the rate is free again. Rows that say no more are deleted, so
-- there are as many as keys were used within a while. A hook may be gone, or have no rate any more.
create or replace function jobhooks.save_rates(leader bigint, buckets json)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform from jobhooks.cursor where cursor.leader = save_rates.leader for share;
    if not found then
        return false;
    end if;
    delete from jobhooks.rate_bucket as bucket
    where bucket.hook_id in (select used.hook_id from json_to_recordset(buckets) as used (hook_id integer))
        and bucket.full_at < clock_timestamp();
    insert into jobhooks.rate_bucket (hook_id, key, full_at)
    select used.hook_id, used.key, clock_timestamp() + used.full_in * interval '1 second'
    from json_to_recordset(buckets) as used (hook_id integer, key bigint, full_in double precision)
    join jobhooks.job_hook as hook on hook.id = used.hook_id and hook.rate <> ''
    where used.full_in > 0
    on conflict on constraint rate_bucket_pkey do update set full_at = excluded.full_at;
    return true;
end
$$;

comment on function jobhooks.save_rates(bigint, json) is
'Save the used parts of the rates of hooks; false if another daemon leads';
