-- jobhooks.changes_of_object(change_id, later, looked_at, most): other changes of the object of a change, nearest first.
--
-- Up to ``most`` of them, among that number of changes of all tables after it (later), or before it. The object is identified
-- by its key after the change, or before it. Security definer: a receiver gets changes but may not read the log.
create or replace function jobhooks.changes_of_object(change_id bigint, later boolean, looked_at integer, most integer)
returns setof jobhooks.object_change
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    type_id integer;
    key_columns text [];
    key text;
begin
    select
        content_type.id, content_type.key_columns,
        jobhooks.columns_of(
            case when later then coalesce(change.postchange, change.prechange) else coalesce(change.prechange, change.postchange) end,
            content_type.key_columns
        )::text
    into type_id, key_columns, key
    from jobhooks.object_change as change
    join jobhooks.content_type as content_type on content_type.id = change.content_type_id
    where change.id = changes_of_object.change_id;
    if key is null or key_columns = '{}' then
        return;
    end if;

    -- The other side of a change is compared: an update may have changed the key.
    if later then
        return query
        select (found.change).*
        from (
            select change, change.id as id
            from jobhooks.object_change as change
            where change.id > changes_of_object.change_id
            order by change.id
            limit looked_at
        ) as found
        where (found.change).content_type_id = type_id
            and case when (found.change).content_type_id = type_id then jobhooks.columns_of(
                coalesce((found.change).prechange, (found.change).postchange), key_columns
            )::text = key end
        order by found.id
        limit most;
    else
        return query
        select (found.change).*
        from (
            select change, change.id as id
            from jobhooks.object_change as change
            where change.id < changes_of_object.change_id
            order by change.id desc
            limit looked_at
        ) as found
        where (found.change).content_type_id = type_id
            and case when (found.change).content_type_id = type_id then jobhooks.columns_of(
                coalesce((found.change).postchange, (found.change).prechange), key_columns
            )::text = key end
        order by found.id desc
        limit most;
    end if;
end
$$;

comment on function jobhooks.changes_of_object(bigint, boolean, integer, integer) is
'Other changes of the object of a change, nearest first';
