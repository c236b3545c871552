-- jobhooks.snapshot_expression(relation, row, key_columns, exclude): the expression that makes a row's json in a trigger.
--
-- row: old or new. The plain function if that suffices. If the session's formats could matter (a float, a range of dates),
-- the expression checks them first. It also checks the time zone if that matters in the key, which identifies the changes of
-- one object. With excluded columns, and with types whose text has names (regclass) or amounts (money), it is always the
-- slower function.
create or replace function jobhooks.snapshot_expression(relation regclass, "row" text, key_columns text [], exclude text [])
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    plain constant text := format('jobhooks_capture.snapshot(%s.*, %L)', "row", key_columns);
    zone_matters constant boolean := jobhooks.depends_on_time_zone(relation, key_columns);
    shaped constant text := format(
        'jobhooks_capture.shaped_snapshot(%1$s.*, %2$L, %3$L, %4$L, %1$s.tableoid, %5$s)', "row", key_columns, exclude,
        coalesce((select json_object_agg(name, null) from unnest(exclude) as name), '{}'),
        -- The session's, as the plain function writes it, where that is called for other rows.
        case when zone_matters or exclude <> '{}' then '''UTC''' else 'current_setting(''timezone'')' end
    );
    usual constant text := concat_ws(
        ' and ',
        case when jobhooks.depends_on_formats(relation) then
            $f$starts_with(current_setting('datestyle'), 'ISO') and current_setting('intervalstyle') = 'postgres'
            and current_setting('bytea_output') = 'hex' and current_setting('extra_float_digits') collate "C" >= '1'$f$
        end,
        case when zone_matters then $f$current_setting('timezone') in ('UTC', 'Etc/UTC', 'GMT')$f$ end
    );
begin
    return case
        when exclude <> '{}' or jobhooks.depends_on_names(relation) then shaped
        when usual = '' then plain
        else format('case when %s then %s else %s end', usual, plain, shaped)
    end;
end
$$;

comment on function jobhooks.snapshot_expression(regclass, text, text [], text []) is
'The expression that makes a row''s json in a trigger';
