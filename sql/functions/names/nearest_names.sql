-- jobhooks.nearest_names(name, known): the known names most like name, the best first; at most two, often an empty array.
--
-- The schema public and double quotes are ignored, a dot matches an underscore, and the part after the last dot may match alone:
-- dcim.device finds public.dcim_device, rack finds inventory.rack, shout finds shout.Shout.
create or replace function jobhooks.nearest_names(name text, known text [])
returns text []
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(near.candidate order by near.score desc, near.candidate collate "C"), '{}')
    from (
        select scored.candidate, scored.score
        from (
            select
                candidate,
                greatest(
                    jobhooks.similarity(
                        translate(regexp_replace(lower(name), '^public\.', ''), '."', '_'),
                        translate(regexp_replace(lower(candidate), '^public\.', ''), '."', '_')
                    ),
                    -- Less, so that a match of the whole name comes first.
                    0.9 * jobhooks.similarity(
                        translate(substring(lower(name) from '[^.]*$'), '"', ''),
                        translate(substring(lower(candidate) from '[^.]*$'), '"', '')
                    )
                ) as score
            from (select distinct candidate from unnest(known) as candidate) as each_once
        ) as scored
        where scored.score >= 0.5
        order by scored.score desc, scored.candidate collate "C"
        limit 2
    ) as near
$$;

comment on function jobhooks.nearest_names(text, text []) is
'The known names most like a name, the best first; at most two, often an empty array';
