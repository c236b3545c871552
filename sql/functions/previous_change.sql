-- jobhooks.previous_change(change_id, looked_at): the change of the same object before this one, if there is one.
--
-- Looked for among so many changes of all tables before it, the newest first: no index leads to the changes of an object. The
-- object is what it was called before the change. Security definer: a receiver, which is given changes, may not read the log.
create or replace function jobhooks.previous_change(change_id bigint, looked_at integer)
returns setof jobhooks.object_change
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    with this as materialized (
        select
            change.content_type_id, content_type.key_columns,
            jobhooks.columns_of(coalesce(change.prechange, change.postchange), content_type.key_columns)::text as key
        from jobhooks.object_change as change
        join jobhooks.content_type as content_type on content_type.id = change.content_type_id
        where change.id = previous_change.change_id
    )
    select recent.*
    from this
    cross join lateral (
        select *
        from jobhooks.object_change as change
        where change.id < previous_change.change_id
        order by change.id desc
        limit previous_change.looked_at
    ) as recent
    where recent.content_type_id = this.content_type_id
        and cardinality(this.key_columns) > 0
        and jobhooks.columns_of(coalesce(recent.postchange, recent.prechange), this.key_columns)::text = this.key
    order by recent.id desc
    limit 1
$$;

comment on function jobhooks.previous_change(bigint, integer) is
'The change of the same object before this one, if there is one';
