-- jobhooks.primary_key(relation): the columns of a table's primary key, in its order; null without a primary key.
create or replace function jobhooks.primary_key(relation regclass)
returns text []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select array_agg(attribute.attname::text order by key.position)
    from pg_index as index
    cross join unnest(index.indkey) with ordinality as key (attnum, position)
    join pg_attribute as attribute on attribute.attrelid = index.indrelid and attribute.attnum = key.attnum
    where index.indrelid = relation and index.indisprimary and key.position <= index.indnkeyatts
$$;

comment on function jobhooks.primary_key(regclass) is 'The columns of a table''s primary key, in its order; null without a primary key';
