-- jobhooks.object_key(object, key_columns): the key of a row as json.
--
-- Only for a row that cannot be written down whole. Null where not even the key can be had: the writer goes on.
create or replace function jobhooks.object_key(object record, key_columns text [])
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    key json;
begin
    if cardinality(key_columns) = 0 then
        return null;
    end if;
    perform set_config('transaction_read_only', 'on', true); -- as capture_change does, to the end of this block
    execute (
        select format('select json_build_object(%s)', string_agg(format('%L, ($1).%I', name, name), ', '))
        from unnest(key_columns) as name
    )
    into key
    using object;
    return key;
exception when others then
    return null;
end
$$;

comment on function jobhooks.object_key(record, text []) is 'The key of a row as json, for a row that cannot be written down whole';
