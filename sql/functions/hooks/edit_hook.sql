-- jobhooks.edit_hook(name, changes): change what a job hook is; what is not named stays.
--
-- changes: an object with some of name, content_types, events, job, description, columns, conditions, coalesce_s, enabled
-- and priority, each as add_hook takes it; a coalesce_s of null is none.
create or replace function jobhooks.edit_hook(name text, changes jsonb)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    hook jobhooks.job_hook;
    unknown constant text := (
        select string_agg(key, ', ' order by key)
        from jsonb_object_keys(changes) as key
        where key <> all (array[
            'name', 'content_types', 'events', 'job', 'description', 'columns', 'conditions', 'coalesce_s', 'enabled', 'priority'
        ])
    );
    wanted record;
    content_type_ids integer [];
begin
    -- Locked, since what the changes leave out is written as it was read.
    select * into hook from jobhooks.job_hook as known where known.name = edit_hook.name for update;
    if not found then
        raise exception 'there is no hook "%"', name using errcode = 'JH029', hint = 'jobhooks hook list';
    end if;
    if unknown is not null then
        raise exception 'cannot save hook "%": it has no %', name, unknown using errcode = 'JH028';
    end if;

    select changed.*, job.id as job_id
    into wanted
    from jsonb_to_record(changes) as changed (
        name text, content_types text [], events text [], job text, description text, columns text [], conditions text,
        coalesce_s double precision, enabled boolean, priority integer
    )
    left join jobhooks.job as job on job.class_path = changed.job;
    if changes ? 'job' and wanted.job_id is null then
        raise exception 'cannot save hook "%": there is no job %', name, wanted.job
        using errcode = 'JH020', hint = 'jobhooks job list';
    end if;
    begin
        update jobhooks.job_hook as known
        set name = coalesce(wanted.name, hook.name),
            job_id = coalesce(wanted.job_id, hook.job_id),
            events = case when changes ? 'events' then jobhooks.actions_called(hook.name, wanted.events) else hook.events end,
            description = coalesce(wanted.description, hook.description),
            columns = case
                when changes ? 'columns' then array(
                    select distinct column_name from unnest(wanted.columns) as column_name order by 1
                )
                else hook.columns
            end,
            conditions = coalesce(wanted.conditions, hook.conditions),
            coalesce_s = case when changes ? 'coalesce_s' then wanted.coalesce_s else hook.coalesce_s end,
            enabled = coalesce(wanted.enabled, hook.enabled),
            priority = coalesce(wanted.priority, hook.priority)
        where known.id = hook.id;
    exception when unique_violation then
        raise exception 'cannot save hook "%": there is a hook "%"', name, wanted.name
        using errcode = 'JH023', hint = 'another name; jobhooks hook list shows the names taken';
    end;
    if changes ? 'content_types' then
        content_type_ids := jobhooks.content_types_called(hook.name, wanted.content_types);
        delete from jobhooks.job_hook_content_type as link
        where link.job_hook_id = hook.id and link.content_type_id <> all (content_type_ids);
        insert into jobhooks.job_hook_content_type (job_hook_id, content_type_id)
        select hook.id, content_type_id
        from unnest(content_type_ids) as content_type_id
        on conflict do nothing;
    end if;
end
$$;

comment on function jobhooks.edit_hook(text, jsonb) is 'Change what a job hook is; what is not named stays';
