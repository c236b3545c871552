-- jobhooks.columns_of(object, columns): these columns of a row; null where there is no row, or it has no such column.
create or replace function jobhooks.columns_of(object json, columns text [])
returns json
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select json_object_agg(name, object -> name)
    from unnest(columns) as name
    where object -> name is not null
$$;

comment on function jobhooks.columns_of(json, text []) is
'These columns of a row; null where there is no row, or it has no such column';
