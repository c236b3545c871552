-- jobhooks.drop_old_history(retention): delete who changed which hook or job longer than that ago, but at least a year.
--
-- What a hook or a job is by now stays, however old: record_configuration compares with it. Of one that is deleted nothing does,
-- and its id does not come again. Security definer, since nobody may write here by hand.
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
'Delete who changed which hook or job longer than that ago, but at least a year';
