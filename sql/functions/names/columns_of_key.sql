-- jobhooks.columns_of_key(relation, numbers): the names and the types of columns, in the order of their numbers.
--
-- Both are empty without numbers. The types are as SQL writes them, quoted if need be.
create or replace function jobhooks.columns_of_key(
    relation oid, numbers smallint [], out columns text [], out types text []
)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
select
    coalesce(array_agg(attribute.attname::text order by place), '{}'),
    coalesce(array_agg(format_type(attribute.atttypid, attribute.atttypmod) order by place), '{}')
from unnest(numbers) with ordinality as number (value, place)
join pg_attribute as attribute on attribute.attrelid = relation and attribute.attnum = number.value
$$;

comment on function jobhooks.columns_of_key(oid, smallint []) is 'The names and the types of columns, in order';
