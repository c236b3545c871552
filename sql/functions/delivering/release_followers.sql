-- jobhooks.release_followers(lanes): make due each delivery that no older one blocks any more, and block the others.
--
-- lanes: [{change_id, hook_id, content_type_id, lane, other_lane}]: the rows that were added, removed or changed, in the lanes
-- that the table has or had for them. This checks them and the first row behind each of them in each of its lanes: no other
-- row can have been freed or blocked, if all was right before. A row whose lane is null waits for all older ones of its table
-- and hook, and all younger ones wait for it: behind it, the first of each lane is checked, up to the next row of its kind. A
-- row that does not block others waits for no other. If the hook merges the changes of some seconds, it is due when they are
-- over. No other session may park or settle at the same time: called by settle, and with the cursor's row locked.
--
-- The backlog grows and shrinks faster than the planner's statistics: so this is planned at each call, and each lookup is a
-- subquery that a single index serves.
create or replace function jobhooks.release_followers(lanes json)
returns void
language sql
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_seqscan = off
as $$
    with touched as materialized (
        select debt.change_id, debt.hook_id, debt.content_type_id, debt.lane, debt.other_lane, next.change_id as next_of_table
        from json_to_recordset(release_followers.lanes) as debt (
            change_id bigint, hook_id integer, content_type_id integer, lane bigint, other_lane bigint
        )
        left join lateral (
            select delivery.change_id
            from jobhooks.delivery as delivery
            where delivery.hook_id = debt.hook_id and delivery.content_type_id = debt.content_type_id
                and delivery.lane is null and delivery.blocks and delivery.change_id > debt.change_id
            order by delivery.change_id
            limit 1
        ) as next on true
    ),
    candidate as (
        select touched.hook_id, touched.change_id
        from touched
        union
        select touched.hook_id, touched.next_of_table
        from touched
        where touched.next_of_table is not null
        union
        select touched.hook_id, next.change_id
        from touched
        cross join lateral unnest(array[touched.lane, touched.other_lane]) as number (lane)
        cross join lateral (
            (
                select delivery.change_id
                from jobhooks.delivery as delivery
                where delivery.hook_id = touched.hook_id and delivery.lane = number.lane and delivery.blocks
                    and delivery.change_id > touched.change_id
                order by delivery.change_id
                limit 1
            )
            union all
            (
                select delivery.change_id
                from jobhooks.delivery as delivery
                where delivery.hook_id = touched.hook_id and delivery.other_lane = number.lane and delivery.blocks
                    and delivery.change_id > touched.change_id
                order by delivery.change_id
                limit 1
            )
        ) as next
        union
        select stretch.hook_id, first.change_id
        from (
            select touched.hook_id, touched.content_type_id, touched.next_of_table, min(touched.change_id) as change_id
            from touched
            where touched.lane is null
            group by touched.hook_id, touched.content_type_id, touched.next_of_table
        ) as stretch
        cross join lateral (
            select min(delivery.change_id) as change_id
            from jobhooks.delivery as delivery
            where delivery.hook_id = stretch.hook_id and delivery.content_type_id = stretch.content_type_id
                and delivery.blocks and delivery.change_id > stretch.change_id
                and delivery.change_id < coalesce(stretch.next_of_table, 9223372036854775807)
            group by delivery.lane
        ) as first
    ),
    wrong as (
        select debt.ctid
        from candidate
        cross join lateral (
            select delivery.ctid, delivery.*
            from jobhooks.delivery as delivery
            where delivery.change_id = candidate.change_id and delivery.hook_id = candidate.hook_id
            limit 1
        ) as debt
        where debt.status <> 'dead'
            and (debt.status = 'waiting') = (
                debt.blocks and (
                    exists (
                        select from jobhooks.delivery as older
                        where older.blocks and older.hook_id = debt.hook_id and older.change_id < debt.change_id
                            and older.lane in (debt.lane, debt.other_lane)
                    )
                    or exists (
                        select from jobhooks.delivery as older
                        where older.blocks and older.hook_id = debt.hook_id and older.change_id < debt.change_id
                            and older.other_lane in (debt.lane, debt.other_lane)
                    )
                    or exists (
                        select from jobhooks.delivery as older
                        where older.blocks and older.hook_id = debt.hook_id and older.change_id < debt.change_id
                            and older.content_type_id = debt.content_type_id and older.lane is null
                    )
                    or debt.lane is null and exists (
                        select from jobhooks.delivery as older
                        where older.blocks and older.hook_id = debt.hook_id and older.change_id < debt.change_id
                            and older.content_type_id = debt.content_type_id
                    )
                )
            )
    )
    update jobhooks.delivery as delivery
    set status = case delivery.status when 'blocked' then 'waiting' else 'blocked' end,
        due_at = case delivery.status when 'blocked' then greatest(
            clock_timestamp(),
            (
                select delivery.parked_at + hook.coalesce_s * interval '1 second'
                from jobhooks.job_hook as hook
                where hook.id = delivery.hook_id
            )
        ) end
    where delivery.ctid = any(array(select wrong.ctid from wrong))
$$;

comment on function jobhooks.release_followers(json) is
'Make due each delivery that no older one blocks any more, and block the others';
