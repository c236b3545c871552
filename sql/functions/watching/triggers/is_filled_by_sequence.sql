-- jobhooks.is_filled_by_sequence(relation): whether a column of a table, or of a partition, has an identity or a default that uses a
-- sequence.
--
-- Not known: a default that calls a function which uses one, or names it as text, and a trigger of the user's that does so.
create or replace function jobhooks.is_filled_by_sequence(relation regclass)
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select
        from jobhooks.watched_relations(relation) as part
        join pg_attribute as filled on filled.attrelid = part.relid and filled.attidentity <> '' and not filled.attisdropped
    ) or exists (
        select
        from jobhooks.watched_relations(relation) as part
        join pg_attrdef as expression on expression.adrelid = part.relid
        join pg_depend as dependency on dependency.classid = 'pg_attrdef'::regclass and dependency.objid = expression.oid
            and dependency.refclassid = 'pg_class'::regclass
        join pg_class as sequence on sequence.oid = dependency.refobjid and sequence.relkind = 'S'
    )
$$;

comment on function jobhooks.is_filled_by_sequence(regclass) is
'Whether a column of a table, or of a partition, has an identity or a default that uses a sequence';
