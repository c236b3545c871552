-- jobhooks.watched_relations(relation): a table, and all its partitions at every level; each with its kind.
create or replace function jobhooks.watched_relations(relation regclass)
returns table (relid oid, relkind "char")
language sql
stable
rows 10 -- of the 1,000 that the planner assumes otherwise, it would read whole catalogues for one table
set search_path = pg_catalog, pg_temp
as $$
    select class.oid, class.relkind
    from pg_class as class
    where class.oid = watched_relations.relation
    union all
    select class.oid, class.relkind
    from pg_partition_tree(watched_relations.relation) as tree
    join pg_class as class on class.oid = tree.relid
    where tree.relid <> watched_relations.relation
$$;

comment on function jobhooks.watched_relations(regclass) is 'A table, and all its partitions at every level; each with its kind';
