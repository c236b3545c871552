-- jobhooks.foreign_key_to(content_type_id, parent_id): the columns of a table that refer to the key of another one by a foreign key,
-- in the order of that key; null if there is none, or several.
create or replace function jobhooks.foreign_key_to(content_type_id integer, parent_id integer)
returns text []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with found as (
        select
            array_agg(own.attname::text order by array_position(parent.key_columns, foreign_column.attname::text)) as columns,
            array_agg(foreign_column.attname::text) as referred, parent.key_columns
        from jobhooks.content_type as child
        cross join jobhooks.content_type as parent
        join pg_constraint as foreign_key
            on foreign_key.contype = 'f' and foreign_key.conrelid = child.relation and foreign_key.confrelid = parent.relation
            and foreign_key.conparentid = 0
        cross join lateral unnest(foreign_key.conkey, foreign_key.confkey) as pair (own_number, foreign_number)
        join pg_attribute as own on own.attrelid = foreign_key.conrelid and own.attnum = pair.own_number
        join pg_attribute as foreign_column
            on foreign_column.attrelid = foreign_key.confrelid and foreign_column.attnum = pair.foreign_number
        where child.id = foreign_key_to.content_type_id and parent.id = foreign_key_to.parent_id
        group by foreign_key.oid, parent.key_columns
    ),

    leading_to_key as (
        select distinct found.columns
        from found
        where found.referred @> found.key_columns and found.referred <@ found.key_columns
    )

    select min(columns) from leading_to_key having count(*) = 1
$$;

comment on function jobhooks.foreign_key_to(integer, integer) is
'The columns of a table that refer to the key of another one by a foreign key; null if there is none, or several';
