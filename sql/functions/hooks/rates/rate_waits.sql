-- jobhooks.rate_waits(hook_id): the keys that have used their share of a hook's rate, and when the next delivery of one may begin.
--
-- keys: how many; 0 if all can begin a delivery now. next_at: null then. As of the last second: the daemon saves it once a second.
-- The number that may begin together, and the interval, are those of Rate in the daemon.
create or replace function jobhooks.rate_waits(hook_id integer)
returns table (keys bigint, next_at timestamptz)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with rate as (
        select
            greatest(1, split_part(hook.rate, '/', 1)::integer / 10) as burst, split_part(hook.rate, '/', 1)::integer as count,
            case split_part(hook.rate, '/', 2)
                when 's' then 1 when 'min' then 60 when 'h' then 3600 when 'day' then 86400
            end as period_s
        from jobhooks.job_hook as hook
        where hook.id = rate_waits.hook_id and hook.rate <> ''
    )
    select count(*), min(begins.next_at)
    from rate
    join jobhooks.rate_bucket as bucket on bucket.hook_id = rate_waits.hook_id
    cross join lateral (
        select bucket.full_at - (rate.burst - 1) * rate.period_s::double precision / (rate.count + 1 - rate.burst) * interval '1 second'
            as next_at
    ) as begins
    where begins.next_at > clock_timestamp()
$$;

comment on function jobhooks.rate_waits(integer) is
'The keys that have used their share of a hook''s rate, and when the next delivery of one may begin';
