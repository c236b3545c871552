-- jobhooks.depends_on_time_zone(relation, columns): whether the json of these columns can depend on the session's time zone:
-- if they contain a timestamptz.
create or replace function jobhooks.depends_on_time_zone(relation regclass, columns text [])
returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select 'timestamptz'::regtype in (select jobhooks.types_of_columns(relation, columns))
$$;

comment on function jobhooks.depends_on_time_zone(regclass, text []) is
'Whether the json of these columns can depend on the session''s time zone';
