-- jobhooks.unknown_columns(hook_id): the columns of a hook that its tables do not record, in order.
create or replace function jobhooks.unknown_columns(hook_id integer)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select column_name
    from jobhooks.job_hook as hook
    cross join lateral unnest(hook.columns) as column_name
    where hook.id = unknown_columns.hook_id
        and not exists (
            select from jobhooks.job_hook_content_type as link
            join jobhooks.content_type as content_type on content_type.id = link.content_type_id
            join pg_attribute as attribute on attribute.attrelid = content_type.relation
            where link.job_hook_id = hook.id
                and attribute.attname = column_name
                and attribute.attnum > 0
                and not attribute.attisdropped
                and column_name <> all (content_type.exclude || content_type.ignore)
        )
    order by column_name
$$;

comment on function jobhooks.unknown_columns(integer) is
'The columns of a hook that none of its tables records, in order';
