-- jobhooks.did_you_mean(name, known): the end of an error about an unknown name: '. Did you mean "x"?'; empty if no name is near.
create or replace function jobhooks.did_you_mean(name text, known text [])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        '. Did you mean ' || string_agg(case when near like '%"%' then near else '"' || near || '"' end, ' or ' order by place) || '?',
        ''
    )
    from unnest(jobhooks.nearest_names(name, known)) with ordinality as found (near, place)
$$;

comment on function jobhooks.did_you_mean(text, text []) is
'The end of an error about an unknown name, with the nearest known names; empty if no name is near';
