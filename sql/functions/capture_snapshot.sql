-- jobhooks_capture.snapshot(object, key): a row as json; where that cannot be had, an array of the error and the key.
--
-- Runs as the role that writes, and with it the code that the json of a row may run: a cast to json of a type of the
-- table's owner. So that code gets no rights by it. It may fail, and so may a row of over 500 MB (two of them must fit
-- into one row of the log, of 1 GB): the writer goes on. The block writes nothing, and so takes no transaction id. key: an
-- array literal of the key columns. There is no "set" clause, since one costs as much as writing the row down: so every
-- name and operator is qualified, and nothing of jobhooks is called, which that role may not use.
create or replace function jobhooks_capture.snapshot(object record, key text)
returns json
language plpgsql
stable
as $$
declare
    snapshot pg_catalog.json;
    failure pg_catalog.text;
begin
    snapshot := pg_catalog.row_to_json(object);
    if pg_catalog.octet_length(snapshot::pg_catalog.text) operator(pg_catalog.>) 500000000 then
        raise exception 'the row has over 500 MB as json' using errcode = 'program_limit_exceeded';
    end if;
    return snapshot;
exception when others then
    failure := pg_catalog.concat(sqlstate, ': ', sqlerrm);
    begin
        execute (
            select pg_catalog.format('select pg_catalog.json_build_object(%s)', pg_catalog.string_agg(
                pg_catalog.format('%L, ($1).%I', name, name), ', '
            ))
            from pg_catalog.unnest(key::pg_catalog.text []) as name
        )
        into snapshot
        using object;
    exception when others then
        snapshot := null;
    end;
    return pg_catalog.json_build_array(failure, snapshot);
end
$$;

comment on function jobhooks_capture.snapshot(record, text) is
'A row as json; where that cannot be had, an array of the error and the key';
