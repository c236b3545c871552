-- jobhooks.check_casts(relation, exclude): raise an error if code of a type's owner makes the json of a column.
create or replace function jobhooks.check_casts(relation regclass, exclude text [])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    found record;
begin
    select * into found from jobhooks.casts_of_columns(relation, exclude) limit 1;
    if found.column_name is not null then
        raise exception
            'cannot watch %: the json of its column % is made by a cast of the type %: %, a function of the role %, would run'
            ' as each role that writes', jobhooks.table_name(relation), found.column_name, found.type, found.function, found.owner
        using errcode = 'JH001', hint = 'watch it with --allow-casts if you trust that role, or --exclude the column';
    end if;
end
$$;

comment on function jobhooks.check_casts(regclass, text []) is 'Raise an error if code of a type''s owner makes the json of a column';
