-- jobhooks.register_jobs(found, complete): bring the jobs in line with the receivers that were found.
--
-- found: [{class_path, settings, data_schema}], settings by the names of class Meta, the JSON Schema of class Data. A new job is installed and not enabled. complete: found is
-- all that there is, so that other jobs are no longer installed; they keep the rest.
create or replace function jobhooks.register_jobs(found json, complete boolean)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.job as job (class_path, settings, data_schema)
    select receiver.class_path, receiver.settings, nullif(receiver.data_schema, 'null')
    from json_to_recordset(register_jobs.found) as receiver (class_path text, settings jsonb, data_schema jsonb)
    on conflict (class_path) do update
    set settings = excluded.settings, data_schema = excluded.data_schema, installed = true
    where job.settings <> excluded.settings or job.data_schema is distinct from excluded.data_schema or not job.installed;
    update jobhooks.job
    set installed = false
    where register_jobs.complete
        and installed
        and class_path not in (select value ->> 'class_path' from json_array_elements(register_jobs.found));
$$;

comment on function jobhooks.register_jobs(json, boolean) is 'Bring the jobs in line with the receivers that were found';
