-- jobhooks_capture.shaped_snapshot(object, key, exclude, virtual): a row as json, as snapshot gives it, in a given shape.
--
-- For what would cost every row too much: formats that the session has changed (a range of dates that is written day
-- first would be read back as another one), columns that are left out, and virtual generated columns, which a trigger
-- gets empty: virtual has their expressions by name. Runs as the role that writes.
create or replace function jobhooks_capture.shaped_snapshot(object record, key text, exclude text [], virtual json)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set extra_float_digits = 1
set bytea_output = 'hex'
as $$
declare
    snapshot json;
    computed json;
    failure text;
begin
    snapshot := row_to_json(object);
    if virtual is not null then
        -- An expression that fails would fail for whoever reads the row, too: then there is no value.
        begin
            execute (
                select format('select json_build_object(%s) from (select ($1).*) as object', string_agg(
                    format('%L, %s', column_name, expression), ', '
                ))
                from json_each_text(virtual) as columns (column_name, expression)
            )
            into computed
            using object;
        exception when others then
            computed := null;
        end;
    end if;
    return (
        select coalesce(json_object_agg(name, coalesce(computed -> name, value)), '{}')
        from json_each(snapshot) as columns (name, value)
        where name <> all (exclude)
    );
exception when others then
    -- The words of an error may hold what was to be left out.
    failure := concat(sqlstate, ': ', case when exclude = '{}' then sqlerrm else 'the row could not be written down' end);
    begin
        execute (
            select format('select json_build_object(%s)', string_agg(format('%L, ($1).%I', name, name), ', '))
            from unnest(key::text []) as name
        )
        into snapshot
        using object;
    exception when others then
        snapshot := null;
    end;
    return json_build_array(failure, snapshot);
end
$$;

comment on function jobhooks_capture.shaped_snapshot(record, text, text [], json) is
'A row as json, less excluded columns, with virtual ones, in formats that the session did not choose';
