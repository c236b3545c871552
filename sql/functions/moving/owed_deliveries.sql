-- jobhooks.owed_deliveries(looked_at): for each hook, what it would lose if its position and the backlog were dropped.
--
-- unread: changes of its tables and events that no daemon has read for it; its columns and conditions are not evaluated.
-- waiting, dead: its rows of the backlog. It looks at looked_at changes for all hooks together; complete: there are no more.
create or replace function jobhooks.owed_deliveries(looked_at bigint default 100000)
returns table (hook text, unread bigint, complete boolean, waiting bigint, dead bigint)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with moved as materialized (
        select transactions.* from jobhooks.moved_transactions() as transactions where transactions.is_new
    ),
    survived as materialized (
        select jobhooks.transaction_ids_survived() as ids_survived
    ),
    position as materialized (
        select
            hook.id as hook_id, coalesce(own.seen, cursor.seen) as seen, coalesce(own.horizon, cursor.horizon) as horizon,
            coalesce(own.last_id, cursor.last_id) as last_id, hook.enabled_since, hook.events,
            jobhooks.read_by_all() as read_by_all,
            array(
                select link.content_type_id from jobhooks.job_hook_content_type as link where link.job_hook_id = hook.id
            ) as content_type_ids,
            jobhooks.children_of_hook(hook.id) as child_ids, hook.chain_depth,
            greatest(owed_deliveries.looked_at / count(*) over (), 1000) as looked_at
        from jobhooks.job_hook as hook
        join jobhooks.job on job.id = hook.job_id and job.enabled
        cross join jobhooks.cursor as cursor
        left join jobhooks.hook_position as own on own.hook_id = hook.id
        where hook.enabled
    ),
    unread as (
        select position.hook_id, page.unread, page.looked_at < position.looked_at as complete
        from position
        cross join lateral (
            select count(*) as looked_at, count(*) filter (where wanted) as unread
            from (
                select
                    (
                        change.triggering
                        or position.chain_depth > 0
                        and coalesce(jobhooks.depth_of(false, change.context) <= position.chain_depth, false)
                    ) and (
                        change.action = any (position.events) and change.content_type_id = any (position.content_type_ids)
                        or change.action <> 'truncate' and change.content_type_id = any (position.child_ids)
                    )
                    and (
                        moved.is_new is not null and not survived.ids_survived
                        or not pg_visible_in_snapshot(change.transaction_id, position.enabled_since)
                        and not pg_visible_in_snapshot(change.transaction_id, position.seen)
                        and not (
                            change.id <= position.last_id
                            and pg_visible_in_snapshot(change.transaction_id, position.horizon)
                        )
                    )
                    and not exists (
                        select from jobhooks.job_result as result
                        where result.change_id = change.id and result.hook_id = position.hook_id
                    )
                    and not exists (
                        select from jobhooks.delivery as delivery
                        where delivery.change_id = change.id and delivery.hook_id = position.hook_id
                    ) as wanted
                from jobhooks.object_change as change
                left join moved
                    on moved.transaction_id = change.transaction_id and moved.segment = change.tableoid
                    and moved.written_by = change.xmin::text
                cross join survived
                where change.id > position.read_by_all
                order by change.id
                limit position.looked_at
            ) as one
        ) as page
    ),
    pending as (
        select
            delivery.hook_id, count(*) filter (where delivery.status <> 'dead') as waiting,
            count(*) filter (where delivery.status = 'dead') as dead
        from jobhooks.delivery as delivery
        group by delivery.hook_id
    )
    select
        hook.name, coalesce(unread.unread, 0), coalesce(unread.complete, true), coalesce(pending.waiting, 0),
        coalesce(pending.dead, 0)
    from jobhooks.job_hook as hook
    left join unread on unread.hook_id = hook.id
    left join pending on pending.hook_id = hook.id
    where unread.hook_id is not null or pending.hook_id is not null
    order by hook.name
$$;

comment on function jobhooks.owed_deliveries(bigint) is
'For each hook, what it would lose if its position and the backlog were dropped';
