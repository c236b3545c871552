-- jobhooks.drop_old_history(retention): delete the history that is older than this, but at least a year old.
--
-- The latest entry of an existing hook or job stays at any age: record_configuration compares with it. The history of a
-- deleted one is dropped completely; its id does not occur again. Versions of receivers that no daemon has loaded for that time
-- are dropped as well, and all but the last 1,000 of a job: a developer's daemon loads another one at each save. A result keeps the
-- number of its version. Security definer, because no role may write here directly.
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
        ));

    delete from jobhooks.receiver_version as old
    using (
        select
            known.job_id, known.version, known.last_loaded_at,
            row_number() over (partition by known.job_id order by known.last_loaded_at desc, known.version) as place
        from jobhooks.receiver_version as known
        where not exists (
            select from jobhooks.loaded_receiver as loaded
            join jobhooks.job as job on job.class_path = loaded.class_path
            where job.id = known.job_id and loaded.source_hash = known.source_hash
        )
    ) as ranked
    where old.job_id = ranked.job_id and old.version = ranked.version
        and old.last_loaded_at = ranked.last_loaded_at -- else a daemon has loaded it since
        and (
            ranked.place > 1000
            or ranked.last_loaded_at < now() - greatest(drop_old_history.retention, interval '1 year')
        )
$$;

comment on function jobhooks.drop_old_history(interval) is
'Delete the history that is older than this, but at least a year old';
