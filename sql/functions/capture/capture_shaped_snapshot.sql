-- jobhooks_capture.shaped_snapshot(object, key, exclude, emptied, relation, zone): a row as json, as snapshot gives it, in a
-- given shape.
--
-- For what would cost every row too much: formats that the session has changed (a range of dates that is written day
-- first would be read back as another one), and columns that are left out. emptied: a json object of these, all null.
-- relation: the table or partition that the row is in. zone: the time zone, UTC or else the session's.
-- Of what is left out no json is made: these columns are emptied first, and their members, which then are known to the
-- letter, cut out of the text. Nothing of it is read, which would fail where a json column holds "\u0000". Where another
-- column holds the same letters, or a domain refuses to be empty, the columns that stay are chosen by name, which is slow.
-- A column to leave out that is not there was renamed, perhaps: then there is no snapshot. Runs as the role that writes.
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
begin
    if zone <> 'UTC' then
        begin
            perform set_config('timezone', zone, true); -- until the end of the function, which sets it, too
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
    -- Each by itself: the words of an error may be of any length, and no text; and they may hold what was to be left out.
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
