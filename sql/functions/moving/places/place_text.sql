-- jobhooks.place_text(place): a place for people: "inventory at db1:5432, db2:5432 (environment production)".
create or replace function jobhooks.place_text(place json)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select format(
        '%s at %s%s', place ->> 'database',
        (
            select string_agg(
                case when host like '/%' then format('%s, port %s', host, port) when host like '%:%' then format('[%s]:%s', host, port)
                    else format('%s:%s', host, port) end,
                ', ' order by position
            )
            from rows from (json_to_recordset(place -> 'hosts') as (host text, port integer))
                with ordinality as configured (host, port, position)
        ),
        ' (environment ' || nullif(place ->> 'environment', '') || ')'
    )
    where place is not null
$$;

comment on function jobhooks.place_text(json) is 'A place for people';
