-- jobhooks.casts_of_columns(relation, exclude): columns whose json is made by a function that a role other than a superuser can
-- replace; each with its type and that function.
--
-- row_to_json uses a cast to json of a column's type, or of a type inside it: the base of a domain, the elements of an array,
-- the fields of a composite type. Whoever owns the type can create such a cast, which then runs as each role that writes, and
-- decides what the log says. Output functions are no such code: only superusers create base types, and ranges, enums and
-- composite types have the server's. Functions in C and of superusers are theirs. No json is made of excluded columns.
create or replace function jobhooks.casts_of_columns(relation regclass, exclude text [])
returns table (column_name text, type text, function text, owner text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with recursive part (column_name, oid) as (
        select attname::text, atttypid
        from pg_attribute
        where attrelid = casts_of_columns.relation and attnum > 0 and not attisdropped and attname <> all (exclude)
        union
        select part.column_name, inner_type.oid
        from part
        join pg_type as outer_type on outer_type.oid = part.oid
        cross join lateral (
            select outer_type.typbasetype where outer_type.typtype = 'd'
            union all
            select outer_type.typelem where outer_type.typelem <> 0
            union all
            select atttypid from pg_attribute
            where attrelid = nullif(outer_type.typrelid, 0) and attnum > 0 and not attisdropped
        ) as inner_type (oid)
    )

    select part.column_name, format_type(part.oid, null), function.oid::regprocedure::text, role.rolname::text
    from part
    join pg_type as own on own.oid = part.oid and own.typtype not in ('c', 'd') -- whose casts row_to_json does not use
    join pg_cast on pg_cast.castsource = part.oid and pg_cast.casttarget = 'json'::regtype and pg_cast.castmethod = 'f'
    join pg_proc as function on function.oid = pg_cast.castfunc
    join pg_language as language on language.oid = function.prolang
    join pg_roles as role on role.oid = function.proowner
    where part.oid >= 16384 -- the server's own types have their json built in
        and language.lanname not in ('c', 'internal') and not role.rolsuper
    order by 1, 2
$$;

comment on function jobhooks.casts_of_columns(regclass, text []) is
'Columns whose json is made by a function that a role other than a superuser can replace';
