-- jobhooks.problems_of_casts(): columns of watched tables whose json is made by code of a type's owner. The cast can be newer than
-- the watching.
create or replace function jobhooks.problems_of_casts()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'warning', jobhooks.table_name(watched.relation),
        format(
            'the json of its column %s is made by a cast of the type %s: %s, a function of the role %s, runs as each role that'
            ' writes, and decides what the log says', found.column_name, found.type, found.function, found.owner
        ),
        format(
            'drop cast (%s as json), or %s, or let a superuser own the function', found.type,
            jobhooks.exclude_command(watched.id, array[found.column_name])
        )
    from jobhooks.content_type as watched
    cross join lateral jobhooks.casts_of_columns(watched.relation, watched.exclude) as found
    where watched.watched
        -- Rarely is there any such cast, and each table takes a millisecond.
        and exists (
            select from pg_cast where castsource >= 16384 and casttarget = 'json'::regtype and castmethod = 'f'
        )
$$;

comment on function jobhooks.problems_of_casts() is
'Columns of watched tables whose json is made by code of a type''s owner';
