-- jobhooks.parents_of(content_type_id): the active parents of a table, in order, as jobhooks table watch --parent takes them.
create or replace function jobhooks.parents_of(content_type_id integer)
returns text []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array(
        select coalesce(jobhooks.table_name(parent.relation), parent.name) || '=' || array_to_string(known.columns, ',')
        from jobhooks.content_type_parent as known
        join jobhooks.content_type as parent on parent.id = known.parent_id
        where known.content_type_id = parents_of.content_type_id and known.active
        order by known.position, 1
    )
$$;

comment on function jobhooks.parents_of(integer) is 'The active parents of a table, in order, as jobhooks table watch --parent takes them';
