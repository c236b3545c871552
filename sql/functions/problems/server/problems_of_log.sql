-- jobhooks.problems_of_log(retention, segment_size): a log without maintenance.
--
-- With some margin beyond the limits of maintain_log: a daemon that was down for an hour is not a problem.
create or replace function jobhooks.problems_of_log(retention interval, segment_size bigint)
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with newest as (
        select * from jobhooks.log_segment order by number desc limit 1
    ),

    oldest as (
        select segment.number, following.created_at as ended_at
        from jobhooks.log_segment as segment
        join jobhooks.log_segment as following on following.number > segment.number
        order by segment.number, following.number
        limit 1
    )

    select
        'warning', 'the log',
        format(
            'its newest segment, %s, holds about %s changes instead of %s',
            newest.number, size.number, segment_size
        ),
        'check that the daemon runs: it begins new segments'
    from newest
    cross join lateral (
        select last_value - newest.first_id + 1 as number from jobhooks.object_change_id_seq where is_called
    ) as size
    where size.number > 2 * segment_size
    union all
    select
        'warning', 'the log',
        format(
            'its oldest segment, %s, ended at %s and is past its retention of %s',
            number, ended_at::timestamptz(0), retention
        ),
        'check that the daemon runs: it drops the segment, unless hooks have unread changes in it or a session reads it'
    from oldest
    where ended_at < now() - retention * 1.25
$$;

comment on function jobhooks.problems_of_log(interval, bigint) is 'A log without maintenance';
