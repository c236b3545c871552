-- jobhooks.columns_of(object, columns): these columns of a row; null if the row is missing, or has no such column.
--
-- Also null for a row that cannot be parsed: a json column may hold "\u0000", or half a surrogate pair.
create or replace function jobhooks.columns_of(object json, columns text [])
returns json
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select json_object_agg(name, object -> name)
        from unnest(columns) as name
        where object -> name is not null
    );
exception when data_exception then
    return null;
end
$$;

comment on function jobhooks.columns_of(json, text []) is
'These columns of a row; null if the row is missing, or has no such column';
