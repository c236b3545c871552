-- jobhooks.unknown_rate_keys(hook_id): the columns that a hook has a rate per, and that one of its tables does not record, in order.
--
-- The word object alone means the key of each row, with any columns.
create or replace function jobhooks.unknown_rate_keys(hook_id integer)
returns setof text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select column_name
    from jobhooks.job_hook as hook
    cross join lateral unnest(hook.rate_per) as column_name
    where hook.id = unknown_rate_keys.hook_id and hook.rate_per <> '{object}'
        and exists (
            select from jobhooks.job_hook_content_type as link
            join jobhooks.content_type as content_type on content_type.id = link.content_type_id
            where link.job_hook_id = hook.id
                and content_type.watched
                and not exists (
                    select from pg_attribute as attribute
                    where attribute.attrelid = content_type.relation
                        and attribute.attname = column_name
                        and attribute.attnum > 0
                        and not attribute.attisdropped
                        and column_name <> all (content_type.exclude)
                )
        )
    order by column_name
$$;

comment on function jobhooks.unknown_rate_keys(integer) is
'The columns that a hook has a rate per, and that one of its tables does not record, in order';
