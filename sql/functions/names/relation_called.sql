-- jobhooks.relation_called(name): the table of a name with its schema; null if it does not exist, or cannot be a table's name.
--
-- to_regclass raises on a text that is not a name before PostgreSQL 16.
create or replace function jobhooks.relation_called(name text)
returns regclass
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return to_regclass(name);
exception when invalid_name or syntax_error or feature_not_supported then
    return null;
end
$$;

comment on function jobhooks.relation_called(text) is
'The table of a name with its schema; null if it does not exist, or cannot be the name of a table';
