-- jobhooks.flaw_of_parent(content_type_id, parent_id, columns): why these columns of a table cannot identify the rows of a parent; null:
-- they can.
--
-- Values are compared as the log has them, as text: so equal values must have equal texts. This excludes types such as citext,
-- numeric without a scale and timestamptz, which is in the time zone of each session.
create or replace function jobhooks.flaw_of_parent(content_type_id integer, parent_id integer, columns text [])
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive pair as (
        select asked.position, asked.name, asked.key_name, child.relation as child, parent.relation as parent, child.exclude, child.ignore
        from jobhooks.content_type as child
        cross join jobhooks.content_type as parent
        cross join lateral unnest(flaw_of_parent.columns, parent.key_columns)
            with ordinality as asked (name, key_name, position)
        where child.id = flaw_of_parent.content_type_id and parent.id = flaw_of_parent.parent_id
    ),

    side as (
        select pair.position, false as is_key, pair.child as relation, pair.name from pair
        union all
        select pair.position, true, pair.parent, pair.key_name from pair
    ),

    -- The type under its domains.
    typed (position, is_key, oid, modifier, collation_oid) as (
        select side.position, side.is_key, attribute.atttypid, attribute.atttypmod, attribute.attcollation
        from side
        join pg_attribute as attribute
            on attribute.attrelid = side.relation and attribute.attname = side.name and attribute.attnum > 0
            and not attribute.attisdropped
        union all
        select
            typed.position, typed.is_key, type.typbasetype,
            case when typed.modifier >= 0 then typed.modifier else type.typtypmod end, typed.collation_oid
        from typed
        join pg_type as type on type.oid = typed.oid and type.typtype = 'd'
    ),

    compared as (
        select
            pair.position, pair.name, pair.key_name, own.oid as own_type, of_key.oid as key_type,
            format_type(own.oid, own.modifier) as own_name, format_type(of_key.oid, of_key.modifier) as key_name_of_type,
            case
                when pair.name = any (pair.exclude) then 'its column %1$s is excluded from the log'
                when pair.name = any (pair.ignore) then 'its column %1$s is ignored, so that a change of it alone is not recorded'
                when of_key.oid is null then 'the column %2$s of its key does not exist'
                when own.oid is null then 'there is no column %1$s'
                when exists (
                    select from pg_collation where oid in (own.collation_oid, of_key.collation_oid) and not collisdeterministic
                ) then 'equal values of its column %1$s can be written differently'
                when own.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                    and of_key.oid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) then null
                when own.oid in ('text'::regtype, 'varchar'::regtype) and of_key.oid in ('text'::regtype, 'varchar'::regtype) then null
                when own.oid <> of_key.oid then 'its column %1$s is of the type %3$s, and the key of the parent is of the type %4$s'
                when own.oid in ('numeric'::regtype, 'bpchar'::regtype) and own.modifier >= 0 then
                    case when own.modifier <> of_key.modifier
                        then 'its column %1$s is of the type %3$s, and the key of the parent is of the type %4$s' end
                when own.oid in (
                    'uuid'::regtype, 'boolean'::regtype, 'date'::regtype, 'oid'::regtype, '"char"'::regtype, 'name'::regtype,
                    'timestamp'::regtype, 'time'::regtype, 'bytea'::regtype, 'inet'::regtype, 'cidr'::regtype, 'macaddr'::regtype,
                    'macaddr8'::regtype, 'xid8'::regtype
                ) then null
                when (select typtype = 'e' from pg_type where oid = own.oid) then null
                else 'equal values of its type %3$s can be written differently'
            end as flaw
        from pair
        left join lateral (
            select typed.* from typed
            where typed.position = pair.position and not typed.is_key and not exists (
                select from pg_type where oid = typed.oid and typtype = 'd'
            )
        ) as own on true
        left join lateral (
            select typed.* from typed
            where typed.position = pair.position and typed.is_key and not exists (
                select from pg_type where oid = typed.oid and typtype = 'd'
            )
        ) as of_key on true
    )

    select case
        when parent.key_columns = '{}' then 'its rows have no key'
        when cardinality(flaw_of_parent.columns) <> cardinality(parent.key_columns) then format(
            'its key has %s (%s), and %s named', case cardinality(parent.key_columns) when 1 then '1 column'
                else cardinality(parent.key_columns) || ' columns' end,
            array_to_string(parent.key_columns, ', '), case cardinality(flaw_of_parent.columns) when 1 then '1 is'
                else cardinality(flaw_of_parent.columns) || ' are' end
        )
        else (
            select format(compared.flaw, compared.name, compared.key_name, compared.own_name, compared.key_name_of_type)
            from compared
            where compared.flaw is not null
            order by compared.position
            limit 1
        )
    end
    from jobhooks.content_type as parent
    where parent.id = flaw_of_parent.parent_id
$$;

comment on function jobhooks.flaw_of_parent(integer, integer, text []) is
'Why these columns of a table cannot identify the rows of a parent; null: they can';
