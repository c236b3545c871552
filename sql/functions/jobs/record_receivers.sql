-- jobhooks.record_receivers(leader, loaded): record the receivers of the leading daemon; its jobs are the installed ones.
--
-- loaded: {receivers: [{class_path, settings, data_schema, path, line, source_hash, version, package}], broken: [{module, path, line,
-- error}], missing: [directory]}. Versions are kept for results: see jobhooks.receiver_version. It refuses a daemon that no longer leads. The cursor's row is locked first, as everywhere.
create or replace function jobhooks.record_receivers(leader bigint, loaded json)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '5s'
as $$
declare
    own text;
begin
    select cursor.leader_process into own from jobhooks.cursor where cursor.leader = record_receivers.leader for share;
    if not found then
        raise exception 'another daemon leads' using errcode = 'JH012';
    end if;
    perform jobhooks.register_jobs(loaded -> 'receivers', true);
    update jobhooks.receiver_version as known
    set last_loaded_at = clock_timestamp()
    from jobhooks.loaded_receiver as replaced
    join jobhooks.job as job on job.class_path = replaced.class_path
    where known.job_id = job.id and known.source_hash = replaced.source_hash;
    insert into jobhooks.receiver_version as known (job_id, version, source_hash, package)
    select job.id, receiver.version, receiver.source_hash, receiver.package
    from json_to_recordset(loaded -> 'receivers') as receiver (
        class_path text, source_hash text, version bigint, package text
    )
    join jobhooks.job as job on job.class_path = receiver.class_path
    where receiver.version is not null
    on conflict (job_id, version) do update set last_loaded_at = clock_timestamp();
    delete from jobhooks.loaded_receiver;
    insert into jobhooks.loaded_receiver (class_path, path, line, source_hash, package)
    select receiver.class_path, receiver.path, receiver.line, receiver.source_hash, receiver.package
    from json_to_recordset(loaded -> 'receivers') as receiver (
        class_path text, path text, line integer, source_hash text, package text
    );
    delete from jobhooks.broken_module;
    insert into jobhooks.broken_module (module, path, line, error)
    select broken.module, broken.path, broken.line, broken.error
    from json_to_recordset(loaded -> 'broken') as broken (module text, path text, line integer, error text);
    insert into jobhooks.receiver_load as load (leader, process, missing)
    values (record_receivers.leader, own, array(select json_array_elements_text(loaded -> 'missing')))
    on conflict (is_only) do update
    set leader = excluded.leader, process = excluded.process, loaded_at = clock_timestamp(), missing = excluded.missing;
end
$$;

comment on function jobhooks.record_receivers(bigint, json) is
'Record the receivers of the leading daemon; its jobs are the installed ones';
