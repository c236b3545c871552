-- jobhooks.difference(one, other, ignored): the columns of one row that differ in the other, less the ignored ones.
--
-- A row that cannot be taken apart (a json column may hold "\u0000", or half of a surrogate pair) is returned whole.
create or replace function jobhooks.difference(one json, other json, ignored text [])
returns json
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select coalesce(json_object_agg(name, value), '{}')
        from json_each(one) as columns (name, value)
        where name <> all (ignored) and value::text is distinct from (other -> name)::text
    );
exception when data_exception then
    return one;
end
$$;

comment on function jobhooks.difference(json, json, text []) is
'The columns of one row that differ in the other, less the ignored ones';
