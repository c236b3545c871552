-- jobhooks_capture.snapshot(object, key): a row as json; if that fails, an array of the error and the key.
--
-- Runs as the writing role. The json of a row may run code: a cast to json of a type of the table's owner. That code gains
-- no rights this way. It may fail, as may a row of over 1 GB: the writer continues. The block writes nothing, so it
-- takes no transaction id. Over 500 MB of json are not kept: two of them must fit into one row of 1 GB. A large row is
-- measured first, since its json takes seconds. Below 300 kB no row can have that much, however well it is compressed, and
-- however many characters are escaped. Above 501 MB no row is kept. A query with the record as a parameter copies it several times,
-- a plain expression once. key: an array literal of the key columns. A "set" clause would cost the same again as writing
-- the row, so every name and operator is qualified, and no function of jobhooks is called, which that role may not use.
create or replace function jobhooks_capture.snapshot(object record, key text)
returns json
language plpgsql
stable
as $$
declare
    failure pg_catalog.text;
    key_of_it pg_catalog.json;
    bytes pg_catalog.numeric;
    made pg_catalog.json;
    row_type_id pg_catalog.oid;
begin
    if pg_catalog.pg_column_size(object) operator(pg_catalog.>) 300000 then
        if pg_catalog.pg_column_size(object) operator(pg_catalog.>) 501000000 then
            row_type_id := pg_catalog.pg_typeof(object);
            begin
                made := (
                    select pg_catalog.json_object_agg(attribute.attname, null)
                    from pg_catalog.pg_type as row_type
                    join pg_catalog.pg_attribute as attribute on attribute.attrelid operator(pg_catalog.=) row_type.typrelid
                    where row_type.oid operator(pg_catalog.=) row_type_id and not attribute.attisdropped
                        and attribute.attnum operator(pg_catalog.>) 0
                        and attribute.attname operator(pg_catalog.<>) all (key::pg_catalog.name [])
                );
                object := pg_catalog.json_populate_record(object, made); -- for the handler, which reads the key
            exception when others then null; -- a domain that refuses null; then reading the key takes longer
            end;
            raise program_limit_exceeded using message = 'the row has over 500 MB as json';
        end if;
        -- The length of a text or bytea is known without reading it. Of others, the stored size is a lower bound. "offset 0"
        -- keeps the planner from evaluating the fields, which would decompress them.
        execute (
            select pg_catalog.format(
                'select 0::pg_catalog.numeric%s, pg_catalog.json_build_object(%s) from (select $1 as object offset 0) as given',
                pg_catalog.string_agg(pg_catalog.format(
                    case
                        when coalesce(nullif(type.typbasetype, 0), type.oid)
                            operator(pg_catalog.=) any (array['text', 'varchar', 'bpchar']::pg_catalog.regtype[])
                            then ' + coalesce(pg_catalog.octet_length((object).%I::pg_catalog.text), 0)'
                        when type.oid operator(pg_catalog.=) 'bytea'::pg_catalog.regtype
                            then ' + 2 * coalesce(pg_catalog.octet_length((object).%I), 0)'
                        else ' + coalesce(pg_catalog.pg_column_size((object).%I), 0)'
                    end, attribute.attname
                ), ''),
                pg_catalog.string_agg(pg_catalog.format('%L, (object).%1$I', attribute.attname), ', ') filter (
                    where attribute.attname operator(pg_catalog.=) any (key::pg_catalog.name [])
                )
            )
            from pg_catalog.pg_type as row_type
            join pg_catalog.pg_attribute as attribute on attribute.attrelid operator(pg_catalog.=) row_type.typrelid
            join pg_catalog.pg_type as type on type.oid operator(pg_catalog.=) attribute.atttypid
            where row_type.oid operator(pg_catalog.=) pg_catalog.pg_typeof(object) and not attribute.attisdropped
                and attribute.attnum operator(pg_catalog.>) 0
        )
        into bytes, key_of_it
        using object;
        if bytes operator(pg_catalog.>) 500000000 then
            return pg_catalog.json_build_array('54000: the row has over 500 MB as json', key_of_it);
        end if;
        made := pg_catalog.row_to_json(object);
        if pg_catalog.pg_column_size(made) operator(pg_catalog.>) 500000000 then
            raise program_limit_exceeded using message = 'the row has over 500 MB as json';
        end if;
        return made;
    end if;
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
