-- jobhooks.recorded_columns(hook_id): the columns that the log has of the tables of a hook, each once.
--
-- ignored: its tables do not count a change of this column as a change.
create or replace function jobhooks.recorded_columns(hook_id integer)
returns table (name text, ignored boolean)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select attribute.attname::text, bool_and(attribute.attname = any (content_type.ignore))
    from jobhooks.job_hook_content_type as link
    join jobhooks.content_type as content_type on content_type.id = link.content_type_id
    join pg_attribute as attribute on attribute.attrelid = content_type.relation
    where link.job_hook_id = recorded_columns.hook_id
        and attribute.attnum > 0
        and not attribute.attisdropped
        and attribute.attname <> all (content_type.exclude)
    group by attribute.attname
$$;

comment on function jobhooks.recorded_columns(integer) is
'The columns that the log has of the tables of a hook, and whether their changes count';
