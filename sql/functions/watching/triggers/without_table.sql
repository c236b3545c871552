-- jobhooks.without_table(statement): a statement of trigger_statements, less the name of the table.
create or replace function jobhooks.without_table(statement text)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    -- Lazy from its first quantifier on, which makes the whole pattern lazy.
    select regexp_replace(statement, '^(.*? (?:insert|update|delete|truncate) on ).*?\s(for each|execute function) ', '\1\2 ')
$$;

comment on function jobhooks.without_table(text) is 'A statement of trigger_statements, less the name of the table';
