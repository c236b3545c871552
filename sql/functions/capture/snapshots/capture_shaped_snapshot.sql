-- jobhooks_capture.shaped_snapshot(object, key, exclude, emptied, relation, zone): a row as json, like snapshot, in a given
-- shape.
--
-- For work that would cost every row too much: formats that the session has changed (a range of dates written day first
-- would be read back as another one), names that depend on its search_path (regclass), and excluded columns. emptied: a json object of these, all null. relation: the table
-- or partition of the row. zone: the time zone, UTC or the session's.
-- No json is made of excluded columns: they are emptied first, and their members, now known exactly, are cut out of the
-- text. The text is not parsed, which would fail if a json column holds "\u0000". If another column holds the same text, or
-- a domain refuses null, the remaining columns are selected by name, which is slow. If an excluded column is missing, it may
-- have been renamed: then there is no snapshot. Runs as the writing role.
create or replace function jobhooks_capture.shaped_snapshot(
    object record, key text, exclude text [], emptied json, relation oid, zone text
)
returns json
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'
set intervalstyle = 'postgres'
set extra_float_digits = 1
set bytea_output = 'hex'
set quote_all_identifiers = off
set lc_monetary = 'C'
set timezone = 'UTC'
as $$
declare
    snapshot text;
    shorter text;
    left_out text;
    member text;
    kept json;
    failure text;
    key_of_it json;
    bytes numeric;
begin
    -- Measured first, as in snapshot; here without the excluded columns.
    if pg_column_size(object) > 300000 and exclude <> '{}' then
        object := json_populate_record(object, emptied); -- which copies it once; a query with it as a parameter would do so often
    end if;
    if pg_column_size(object) > 300000 then
        execute (
            select format(
                'select 0::numeric%s, json_build_object(%s) from (select $1 as object offset 0) as given',
                string_agg(format(
                    case
                        when coalesce(nullif(type.typbasetype, 0), type.oid) = any (array['text', 'varchar', 'bpchar']::regtype [])
                            then ' + coalesce(octet_length((object).%I::text), 0)'
                        when type.oid = 'bytea'::regtype then ' + 2 * coalesce(octet_length((object).%I), 0)'
                        else ' + coalesce(pg_column_size((object).%I), 0)'
                    end, attribute.attname
                ), '') filter (where attribute.attname <> all (exclude)),
                string_agg(format('%L, (object).%1$I', attribute.attname), ', ')
                filter (where attribute.attname = any (key::text []))
            )
            from pg_type as row_type
            join pg_attribute as attribute on attribute.attrelid = row_type.typrelid
            join pg_type as type on type.oid = attribute.atttypid
            where row_type.oid = pg_typeof(object) and not attribute.attisdropped and attribute.attnum > 0
        )
        into bytes, key_of_it
        using object;
        if bytes > 500000000 then
            return json_build_array('54000: the row has over 500 MB as json', key_of_it);
        end if;
    end if;
    if zone <> 'UTC' then
        begin
            perform set_config('timezone', zone, true); -- until the end of the function, whose "set" clause it overrides
        exception when insufficient_privilege then null; -- to call set_config
        end;
    end if;
    if exclude = '{}' then
        return row_to_json(object);
    end if;
    snapshot := row_to_json(json_populate_record(object, emptied))::text;
    foreach left_out in array exclude loop
        member := to_json(left_out)::text || ':null';
        shorter := replace(snapshot, ',' || member, '');
        -- The privilege does not matter: without such a column it is an error to ask for it, or the answer is null.
        if octet_length(snapshot) - octet_length(shorter) <> octet_length(member) + 1
            or starts_with(snapshot, '{' || member)
            or has_column_privilege(relation, left_out, 'select') is null
        then
            raise cardinality_violation;
        end if;
        snapshot := shorter;
    end loop;
    return snapshot::json;
exception when others then
    -- Each separately: the text of an error may be long, and not text; and it may contain excluded values.
    begin
        failure := sqlstate;
        failure := concat(failure, ': ', case when exclude = '{}'
            then left(sqlerrm, 1000) else 'the row could not be written down' end);
        perform convert_to(failure, 'UTF8');
    exception when others then
        failure := left(failure, 5);
    end;
    begin
        if exclude <> '{}' then
            if (select count(*) from pg_attribute where attrelid = relation and attname = any (exclude) and attnum > 0)
                < cardinality(exclude)
            then
                failure := '42703: a column that is to be left out is not there: watch the table again';
                raise undefined_column;
            end if;
            execute (
                select format('select row_to_json(kept) from (select %s) as kept', string_agg(
                    format('($1).%I', attname), ', ' order by attnum
                ))
                from pg_attribute
                where attrelid = relation and attnum > 0 and not attisdropped and attname <> all (exclude)
            )
            into kept
            using object;
            return kept;
        end if;
    exception when others then
        if sqlstate <> '42703' then
            failure := concat(sqlstate, ': the row could not be written down');
        end if;
    end;
    begin
        execute (
            select format('select json_build_object(%s)', string_agg(format('%L, ($1).%I', name, name), ', '))
            from unnest(key::text []) as name
        )
        into key_of_it
        using object;
    exception when others then
        key_of_it := null;
    end;
    return json_build_array(failure, key_of_it);
end
$$;

comment on function jobhooks_capture.shaped_snapshot(record, text, text [], json, oid, text) is
'A row as json, less excluded columns, in formats that the session did not choose';
