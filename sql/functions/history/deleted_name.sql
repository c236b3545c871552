-- jobhooks.deleted_name(kind, object_id): the last name of a hook, or the class path of a job, that was deleted; null if unknown.
--
-- The history is kept for as long as results, and for a year at least.
create or replace function jobhooks.deleted_name(kind text, object_id integer)
returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select change.name
    from jobhooks.configuration_change as change
    where change.kind = deleted_name.kind and change.object_id = deleted_name.object_id
    order by change.id desc
    limit 1
$$;

comment on function jobhooks.deleted_name(text, integer) is
'The last name of a hook, or the class path of a job, that was deleted; null if unknown';
