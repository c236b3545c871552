-- jobhooks.set_parents(content_type_id, parents): say which rows of other tables a change of this table updates as well.
--
-- parents: [{"table": "public.device", "columns": ["device_id"]}], all of them, in order. Columns may be left out if one foreign key
-- leads to the key of the parent. A parent that is not among them stays, inactive: pending deliveries refer to it.
create or replace function jobhooks.set_parents(content_type_id integer, parents json)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    asked record;
    own_id constant integer := set_parents.content_type_id;
    parent_ids integer [] := array[]::integer [];
    columns_of_parents text [] := array[]::text []; -- as text, since the lengths differ
begin
    for asked in
        select
            parent.value ->> 'table' as name, jobhooks.relation_called(parent.value ->> 'table') as relation,
            case when json_typeof(parent.value -> 'columns') = 'array' then
                array(select json_array_elements_text(parent.value -> 'columns'))
            end as columns,
            parent.position::integer as position
        from json_array_elements(parents) with ordinality as parent (value, position)
        order by parent.position
    loop
        asked.columns := coalesce(
            asked.columns, jobhooks.foreign_key_to(own_id, (select id from jobhooks.content_type where relation = asked.relation))
        );
        perform jobhooks.check_parent(own_id, asked.name, asked.relation, asked.columns);
        parent_ids := array_append(parent_ids, (select id from jobhooks.content_type where relation = asked.relation));
        columns_of_parents := array_append(columns_of_parents, asked.columns::text);
    end loop;

    update jobhooks.content_type_parent as known
    set active = false
    where known.content_type_id = own_id and known.active and not exists (
        select from unnest(parent_ids, columns_of_parents) as asked_for (parent_id, columns)
        where asked_for.parent_id = known.parent_id and asked_for.columns = known.columns::text
    );
    insert into jobhooks.content_type_parent as known (content_type_id, parent_id, columns, position)
    select own_id, asked_for.parent_id, asked_for.columns::text [], min(asked_for.position)
    from unnest(parent_ids, columns_of_parents) with ordinality as asked_for (parent_id, columns, position)
    group by asked_for.parent_id, asked_for.columns
    on conflict on constraint content_type_parent_pkey do update
    set active = true, position = excluded.position
    where not known.active or known.position <> excluded.position;
end
$$;

comment on function jobhooks.set_parents(integer, json) is 'Say which rows of other tables a change of this table updates as well';
