-- jobhooks.similarity(one, other): how alike two texts are, from 0 to 1, by the pairs of letters they share (Dice's coefficient).
--
-- 2 * shared / (pairs of one + pairs of the other), each pair counted once: "devise" and "device" have 0.71. The same measure as
-- in operations/lookup/nearest_names.py, which suggests names that are not in the database.
create or replace function jobhooks.similarity(one text, other text)
returns double precision
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    with pairs as (
        select 'one' as side, substr(' ' || one || ' ', place, 2) as pair
        from generate_series(1, length(one) + 1) as place
        where one <> ''
        union
        select 'other', substr(' ' || other || ' ', place, 2)
        from generate_series(1, length(other) + 1) as place
        where other <> ''
    )
    select coalesce(2.0 * (count(*) - count(distinct pair)) / nullif(count(*), 0), 0)::double precision
    from pairs
$$;

comment on function jobhooks.similarity(text, text) is
'How alike two texts are, from 0 to 1, by the pairs of letters they share';
