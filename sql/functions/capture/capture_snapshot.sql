-- jobhooks_capture.snapshot(object, key): a row as json; if that fails, an array of the error and the key.
--
-- Runs as the writing role. The json of a row may run code: a cast to json of a type of the table's owner. That code gains
-- no rights this way. It may fail, as may a row of over 1 GB: the writer continues. The block writes nothing, so it
-- takes no transaction id. key: an array literal of the key columns. A "set" clause would cost the same again as writing
-- the row, so every name and operator is qualified, and no function of jobhooks is called, which that role may not use.
create or replace function jobhooks_capture.snapshot(object record, key text)
returns json
language plpgsql
stable
as $$
declare
    failure pg_catalog.text;
    key_of_it pg_catalog.json;
begin
    return pg_catalog.row_to_json(object);
exception when others then
    -- Each separately: the text of an error may have any length, and may not be valid text.
    begin
        failure := sqlstate;
        failure := pg_catalog.concat(failure, ': ', pg_catalog."left"(sqlerrm, 1000));
        perform pg_catalog.convert_to(failure, 'UTF8');
    exception when others then
        failure := pg_catalog."left"(failure, 5);
    end;
    begin
        execute (
            select pg_catalog.format('select pg_catalog.json_build_object(%s)', pg_catalog.string_agg(
                pg_catalog.format('%L, ($1).%I', name, name), ', '
            ))
            from pg_catalog.unnest(key::pg_catalog.text []) as name
        )
        into key_of_it
        using object;
    exception when others then
        key_of_it := null;
    end;
    return pg_catalog.json_build_array(failure, key_of_it);
end
$$;

comment on function jobhooks_capture.snapshot(record, text) is
'A row as json; if that fails, an array of the error and the key';
