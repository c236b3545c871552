-- jobhooks.unknown_in_words(unknown, known): names that are unknown, for an error; null without any.
--
-- Of one alone, the nearest known names follow.
create or replace function jobhooks.unknown_in_words(unknown text [], known text [])
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case cardinality(unknown)
        when 0 then null
        when 1 then unknown[1] || jobhooks.did_you_mean(unknown[1], known)
        else array_to_string(unknown, ', ')
    end
$$;

comment on function jobhooks.unknown_in_words(text [], text []) is
'Names that are unknown, for an error: of one alone with the nearest known names; null without any';
