-- jobhooks.add_jobs(found): record jobs of receivers that a command has found, so that they can be enabled before a daemon starts.
--
-- found: [{class_path, settings, data_schema}], as in register_jobs. Jobs that are there stay as they are: the daemon may have loaded another
-- version of them. The new ones are not installed until a daemon has loaded them.
create or replace function jobhooks.add_jobs(found json)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.job (class_path, settings, data_schema, installed)
    select receiver.class_path, receiver.settings, nullif(receiver.data_schema, 'null'), false
    from json_to_recordset(add_jobs.found) as receiver (class_path text, settings jsonb, data_schema jsonb)
    on conflict (class_path) do nothing
$$;

comment on function jobhooks.add_jobs(json) is
'Record jobs of receivers that a command has found, so that they can be enabled before a daemon starts';
