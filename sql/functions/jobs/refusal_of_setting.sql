-- jobhooks.refusal_of_setting(setting, value): the requirement for a setting of a job that this value violates, or null.
create or replace function jobhooks.refusal_of_setting(setting text, value jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    -- As settings_of_jobs has it.
    known record;
    fits boolean;
begin
    select * into known from jobhooks.settings_of_jobs() as rule where rule.setting = refusal_of_setting.setting;
    if value = 'null' and known.optional then
        return null;
    end if;
    fits := case jsonb_typeof(value)
        when 'boolean' then known.kind = 'flag'
        when 'number' then
            (known.kind in ('seconds', 'backoff') or (known.kind = 'count' and value::text ~ '^[0-9]+$'))
            and value::numeric between known.lowest::numeric and known.highest::numeric
        when 'string' then
            known.kind in ('text', 'name') and (known.kind = 'text' or value <> '""')
            or known.kind = 'policy' and value in ('"block"', '"skip"')
            or known.kind = 'order' and value in ('"object"', '"table"', '"none"')
        when 'array' then
            known.kind = 'order' and value <> '[]' and not jsonb_path_exists(value, '$[*] ? (@.type() != "string" || @ == "")')
            or known.kind = 'errors' and not exists (
                select from jsonb_array_elements(value) as name
                where jsonb_typeof(name) <> 'string' or name #>> '{}' !~ '^[[:alpha:]_]\w*([.][[:alpha:]_]\w*)*$'
            )
            or known.kind = 'backoff' and value <> '[]' and not exists (
                select from jsonb_array_elements(value) as pause
                where case when jsonb_typeof(pause) = 'number'
                    then pause::numeric not between known.lowest::numeric and known.highest::numeric else true end
            )
        else false
    end;
    return case when fits then null else case known.kind
        when 'name' then 'a text, and not empty'
        when 'text' then 'a text'
        when 'flag' then 'true or false'
        when 'count' then format('a whole number from %s to %s', known.lowest, known.highest)
        when 'seconds' then format(
            'a number of seconds, %s and at most %s%s', case known.lowest when 0 then 'not less than 0' else 'more than 0' end,
            known.highest, case when known.optional then ', or null for no limit' else '' end
        )
        when 'backoff' then format('a number of seconds, more than 0 and at most %s, or a list of them', known.highest)
        when 'errors' then 'names of exception classes'
        when 'policy' then '"block" or "skip"'
        else '"object", "table", "none" or names of columns'
    end end;
end
$$;

comment on function jobhooks.refusal_of_setting(text, jsonb) is
'The requirement for a setting of a job that this value violates, or null';
