-- jobhooks.difference(one, other, ignored): the columns of one row that differ in the other, less the ignored ones.
create or replace function jobhooks.difference(one json, other json, ignored text [])
returns json
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(json_object_agg(name, value), '{}')
    from json_each(one) as columns (name, value)
    where name <> all (ignored) and value::text is distinct from (other -> name)::text
$$;

comment on function jobhooks.difference(json, json, text []) is
'The columns of one row that differ in the other, less the ignored ones';
