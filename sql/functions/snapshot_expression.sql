-- jobhooks.snapshot_expression(relation, row, key_columns, exclude): the expression that writes down a row in a trigger.
--
-- row: old or new. The plain function where it will do. Where the session's formats could matter (a float, a range of
-- dates), the expression asks for them first; where columns are left out, or are virtual, it is always the slower one.
create or replace function jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text [], exclude text [])
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    arguments constant text := format('%s.*, %L', "row", key_columns);
    plain constant text := format('jobhooks_capture.snapshot(%s)', arguments);
    virtual json;
    shaped text;
begin
    virtual := (
        select json_object_agg(attribute.attname, pg_get_expr(definition.adbin, definition.adrelid) order by attribute.attnum)
        from pg_attribute as attribute
        join pg_attrdef as definition on (definition.adrelid, definition.adnum) = (attribute.attrelid, attribute.attnum)
        where attribute.attrelid = relation
            and attribute.attgenerated = 'v'
            and not attribute.attisdropped
            and attribute.attname <> all (exclude)
    );
    shaped := format(
        'jobhooks_capture.shaped_snapshot(%s, %L, %L)', arguments, exclude, virtual
    );
    if virtual is not null or exclude <> '{}' then
        return shaped;
    elsif jobhooks.depends_on_formats(relation) then
        return format(
            $f$case when starts_with(current_setting('datestyle'), 'ISO') and current_setting('intervalstyle') = 'postgres'
            and current_setting('bytea_output') = 'hex' and current_setting('extra_float_digits') collate "C" >= '1'
            then %s else %s end$f$, plain, shaped
        );
    end if;
    return plain;
end
$$;

comment on function jobhooks.snapshot_expression(regclass, text, text [], text []) is
'The expression that writes down a row in a trigger';
