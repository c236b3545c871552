-- jobhooks.previous_change(change_id, looked_at): the change of the same object before this one, if there is one.
--
-- It searches that number of changes of all tables before this one, the newest first: no index leads to the changes of an
-- object. It goes in steps, each ten times longer than the last: a near change is found quickly. The object is identified by
-- its key before the change; a created object has no previous change, even if an earlier one had its key. Security definer:
-- a receiver gets changes but may not read the log.
create or replace function jobhooks.previous_change(change_id bigint, looked_at integer)
returns setof jobhooks.object_change
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    type_id integer;
    key_columns text [];
    key json;
    key_values text [];
    previous bigint;
    before bigint := change_id;
    step integer := 100;
    looked integer := 0;
begin
    select content_type.id, content_type.key_columns, jobhooks.columns_of(change.prechange, content_type.key_columns)
    into type_id, key_columns, key
    from jobhooks.object_change as change
    join jobhooks.content_type as content_type on content_type.id = change.content_type_id
    where change.id = previous_change.change_id;
    key_values := array(select (key -> name)::text from unnest(key_columns) with ordinality as named (name, place) order by place);
    if key is null or array_position(key_values, null) is not null then
        return;
    end if;

    while before is not null and looked < looked_at loop
        step := least(step, looked_at - looked);
        begin
            select max(recent.id)
            into previous
            from (
                select change.id, change.content_type_id, coalesce(change.postchange, change.prechange) as object
                from jobhooks.object_change as change
                where change.id < before
                order by change.id desc
                limit step
            ) as recent
            where recent.content_type_id = type_id
                and not exists (
                    select from unnest(key_columns, key_values) as named (name, value)
                    where (recent.object -> named.name)::text is distinct from named.value
                );
        exception when data_exception then -- a row that cannot be taken apart, which columns_of passes over, at a price
            select max(recent.id)
            into previous
            from (
                select change.id, change.content_type_id, coalesce(change.postchange, change.prechange) as object
                from jobhooks.object_change as change
                where change.id < before
                order by change.id desc
                limit step
            ) as recent
            where recent.content_type_id = type_id
                and jobhooks.columns_of(recent.object, key_columns)::text = key::text;
        end;
        if previous is not null then
            return query select change.* from jobhooks.object_change as change where change.id = previous;
            return;
        end if;

        select min(recent.id)
        into before
        from (
            select change.id
            from jobhooks.object_change as change
            where change.id < before
            order by change.id desc
            limit step
        ) as recent;
        looked := looked + step;
        step := step * 10;
    end loop;
end
$$;

comment on function jobhooks.previous_change(bigint, integer) is
'The change of the same object before this one, if there is one';
