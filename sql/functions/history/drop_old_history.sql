-- jobhooks.drop_old_history(retention): delete the history that is older than this, but at least a year old.
--
-- The latest entry of an existing hook or job stays at any age: record_configuration compares with it. The history of a
-- deleted one is dropped completely; its id does not occur again. Security definer, because no role may write here directly.
create or replace function jobhooks.drop_old_history(retention interval)
returns void
language sql
security definer
set search_path = pg_catalog, pg_temp
as $$
    delete from jobhooks.configuration_change as change
    where change.time < now() - greatest(drop_old_history.retention, interval '1 year')
        and (change.after is null or exists (
            select from jobhooks.configuration_change as later
            where later.kind = change.kind and later.object_id = change.object_id and later.id > change.id
        ))
$$;

comment on function jobhooks.drop_old_history(interval) is
'Delete the history that is older than this, but at least a year old';
