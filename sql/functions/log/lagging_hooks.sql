-- jobhooks.lagging_hooks(looked_at): the enabled hooks that read the log alone, or are paused: how far they are behind, and how
-- much of the log they hold.
--
-- changes, oldest: unread changes of the hook's tables, of which there are about so many, and the time of the first. held_changes,
-- held_bytes, held_since: all changes after its position, which retention keeps for it. It looks at looked_at changes for all
-- hooks together, and counts those after them by their ids, in the proportion of those before. Until a daemon has saved the
-- position of a paused hook, it is that of the others.
create or replace function jobhooks.lagging_hooks(looked_at integer default 10000)
returns table (
    hook_id integer,
    changes bigint,
    oldest timestamptz,
    held_changes bigint,
    held_bytes bigint,
    held_since timestamptz
)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with newest as (
        select coalesce(pg_sequence_last_value('jobhooks.object_change_id_seq'), 0) as id
    ),
    segment as (
        select
            known.first_id,
            greatest(
                coalesce(lead(known.first_id) over (order by known.number) - 1, newest.id), known.first_id
            ) as last_id,
            pg_total_relation_size(format('jobhooks.object_change_%s', known.number)::regclass) as bytes
        from jobhooks.log_segment as known
        cross join newest
    ),
    position as (
        select
            hook.id as hook_id,
            coalesce(own.seen, cursor.seen) as seen,
            greatest(
                cursor.first_id,
                case when own.hook_id is null then greatest(cursor.seen_floor, cursor.last_id) end,
                greatest(own.seen_floor, own.last_id)
            ) as id,
            array(
                select link.content_type_id from jobhooks.job_hook_content_type as link where link.job_hook_id = hook.id
            ) || jobhooks.children_of_hook(hook.id) as content_type_ids,
            hook.chain_depth,
            greatest(lagging_hooks.looked_at / (count(*) over ())::integer, 100) as looked_at
        from jobhooks.job_hook as hook
        join jobhooks.job as job on job.id = hook.job_id
        cross join jobhooks.cursor as cursor
        left join jobhooks.hook_position as own on own.hook_id = hook.id
        where hook.enabled and job.enabled and (hook.paused or own.hook_id is not null)
    )
    select
        position.hook_id,
        page.wanted + case
            when page.looked_at < position.looked_at then 0
            else greatest(newest.id - page.last_id, 0) * page.wanted / page.looked_at
        end,
        page.oldest,
        coalesce(greatest(newest.id - page.held_id + 1, 0), 0),
        held.bytes,
        page.held_since
    from position
    cross join newest
    cross join lateral (
        select
            count(*) as looked_at,
            max(change.id) as last_id,
            count(*) filter (where change.wanted) as wanted,
            min(change.time) filter (where change.wanted) as oldest,
            min(change.id) filter (where change.unread) as held_id,
            min(change.time) filter (where change.unread) as held_since
        from (
            select
                looked.id, looked.time,
                not pg_visible_in_snapshot(looked.transaction_id, position.seen) as unread,
                not pg_visible_in_snapshot(looked.transaction_id, position.seen)
                and (
                    looked.triggering
                    or position.chain_depth > 0
                    and coalesce(jobhooks.depth_of(false, looked.context) <= position.chain_depth, false)
                ) and looked.content_type_id = any (position.content_type_ids) as wanted
            from jobhooks.object_change as looked
            where looked.id > position.id
            order by looked.id
            limit position.looked_at
        ) as change
    ) as page
    cross join lateral (
        select
            coalesce(sum(
                segment.bytes * least(segment.last_id - page.held_id + 1, segment.last_id - segment.first_id + 1)
                / (segment.last_id - segment.first_id + 1)
            ), 0)::bigint as bytes
        from segment
        where segment.last_id >= page.held_id
    ) as held
$$;

comment on function jobhooks.lagging_hooks(integer) is
'The enabled hooks that read the log alone, or are paused: how far they are behind, and how much of the log they hold';
