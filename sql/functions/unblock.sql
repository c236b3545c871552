-- jobhooks.unblock(lanes): make due, of these lanes, each debt that waits for no older one any more.
--
-- lanes: [{hook_id, content_type_id, lane, other_lane}], those in which a debt came or went. In each lane only the oldest
-- debt that is blocked can be free now. A debt whose lane is null waits for all older ones of its table and hook, and all
-- younger ones wait for it. Called where nobody else parks or pays at the same time: by the daemon that leads.
create or replace function jobhooks.unblock(lanes json)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    with touched as (
        select distinct lane.hook_id, lane.content_type_id, number.lane
        from json_to_recordset(unblock.lanes) as lane (
            hook_id integer, content_type_id integer, lane bigint, other_lane bigint
        )
        cross join lateral unnest(array[lane.lane, lane.other_lane, null]) as number (lane)
    ),
    candidate as (
        select distinct touched.hook_id, oldest.change_id
        from touched
        cross join lateral (
            (
                select delivery.change_id
                from jobhooks.delivery as delivery
                where delivery.hook_id = touched.hook_id and delivery.lane = touched.lane and delivery.blocks
                    and delivery.status = 'blocked'
                order by delivery.change_id
                limit 1
            )
            union all
            (
                select delivery.change_id
                from jobhooks.delivery as delivery
                where delivery.hook_id = touched.hook_id and delivery.other_lane = touched.lane and delivery.blocks
                    and delivery.status = 'blocked'
                order by delivery.change_id
                limit 1
            )
            union all
            (
                select delivery.change_id
                from jobhooks.delivery as delivery
                where touched.lane is null and delivery.hook_id = touched.hook_id
                    and delivery.content_type_id = touched.content_type_id and delivery.lane is null and delivery.blocks
                    and delivery.status = 'blocked'
                order by delivery.change_id
                limit 1
            )
        ) as oldest
    )
    update jobhooks.delivery as delivery
    set status = 'waiting', due_at = clock_timestamp()
    from candidate
    where delivery.hook_id = candidate.hook_id
        and delivery.change_id = candidate.change_id
        and not exists (
            select from jobhooks.delivery as older
            where older.blocks and older.hook_id = delivery.hook_id and older.change_id < delivery.change_id
                and older.lane in (delivery.lane, delivery.other_lane)
        )
        and not exists (
            select from jobhooks.delivery as older
            where older.blocks and older.hook_id = delivery.hook_id and older.change_id < delivery.change_id
                and older.other_lane in (delivery.lane, delivery.other_lane)
        )
        and not exists (
            select from jobhooks.delivery as older
            where older.blocks and older.hook_id = delivery.hook_id and older.change_id < delivery.change_id
                and older.content_type_id = delivery.content_type_id and (older.lane is null or delivery.lane is null)
        )
$$;

comment on function jobhooks.unblock(json) is
'Make due, of these lanes, each debt that waits for no older one any more';
