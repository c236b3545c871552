-- jobhooks.add_hook(name, content_types, events, job, ...): add a job hook; returns its id.
--
-- content_types: names of watched tables; events: names of actions; job: the class path of a known job. The rest is as in
-- jobhooks.job_hook. What else can be wrong with a hook, check_hook and check_hook_targets say, whoever writes it.
create or replace function jobhooks.add_hook(
    name text,
    content_types text [],
    events text [],
    job text,
    description text default '',
    columns text [] default '{}',
    conditions text default '',
    coalesce_s double precision default null,
    enabled boolean default true,
    priority integer default 0
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    job_id constant integer := (select known.id from jobhooks.job as known where known.class_path = add_hook.job);
    content_type_ids integer [];
    hook_id integer;
begin
    if job_id is null then
        raise exception 'cannot save hook "%": there is no job %', left(name, 255), job
        using errcode = 'JH020', hint = 'jobhooks job list';
    end if;
    content_type_ids := jobhooks.content_types_called(left(name, 255), content_types);
    begin
        insert into jobhooks.job_hook (
            name, job_id, events, description, columns, conditions, coalesce_s, enabled, priority
        )
        values (
            add_hook.name, job_id, jobhooks.actions_called(left(name, 255), add_hook.events), add_hook.description,
            array(select distinct column_name from unnest(add_hook.columns) as column_name order by 1),
            add_hook.conditions, add_hook.coalesce_s, add_hook.enabled, add_hook.priority
        )
        returning id into hook_id;
    exception when unique_violation then
        raise exception 'cannot save hook "%": there is a hook of that name', name
        using errcode = 'JH023', hint = 'another name; jobhooks hook list shows the names taken';
    end;
    insert into jobhooks.job_hook_content_type (job_hook_id, content_type_id)
    select hook_id, content_type_id
    from unnest(content_type_ids) as content_type_id;
    return hook_id;
end
$$;

comment on function jobhooks.add_hook(
    text, text [], text [], text, text, text [], text, double precision, boolean, integer
) is 'Add a job hook; returns its id';
