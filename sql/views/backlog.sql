-- jobhooks.backlog: pending deliveries. unread: changes after the reader's position, wanted by a hook or not; approximate,
-- because they are counted by their ids. A hook that reads the log alone, or is paused, has its own number of unread changes, of its
-- tables. Then the deliveries of the backlog table, by hook, status and state: see jobhooks.delivery_states.
create or replace view jobhooks.backlog as
select
    null::text as hook,
    'unread' as status,
    greatest(
        (select case when is_called then last_value else 0 end from jobhooks.object_change_id_seq)
        - greatest(cursor.horizon_floor, cursor.last_id, cursor.first_id), 0
    ) as changes,
    (
        select change.time
        from jobhooks.object_change as change
        where change.id > greatest(cursor.horizon_floor, cursor.last_id, cursor.first_id)
        order by change.id
        limit 1
    ) as oldest,
    'unread' as state
from jobhooks.cursor
union all
select hook.name, 'unread', lagging.changes, lagging.oldest, 'unread'
from jobhooks.lagging_hooks() as lagging
join jobhooks.job_hook as hook on hook.id = lagging.hook_id
union all
select hook.name, delivery.status, count(*), min(delivery.parked_at), delivery.state
from jobhooks.delivery_states() as delivery
left join jobhooks.job_hook as hook on hook.id = delivery.hook_id
group by hook.name, delivery.status, delivery.state;

comment on view jobhooks.backlog is 'Pending deliveries: unread changes, and the backlog of each hook';
