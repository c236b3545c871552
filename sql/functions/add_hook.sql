-- jobhooks.add_hook(name, content_types, events, job, description): add a job hook; returns its id.
--
-- content_types: names of watched tables; events: names of actions; job: the class path of a known job.
create or replace function jobhooks.add_hook(
    name text,
    content_types text [],
    events text [],
    job text,
    description text default ''
)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    job_id constant integer := (select known.id from jobhooks.job as known where known.class_path = add_hook.job);
    actions jobhooks.action[];
    relations regclass[];
    unknown text;
    hook_id integer;
begin
    if length(name) not between 1 and 255 then
        raise exception 'cannot add a hook whose name has % characters: it takes 1 to 255', length(name)
        using errcode = 'JH024';
    end if;
    if job_id is null then
        raise exception 'cannot add hook "%": there is no job %', name, job using errcode = 'JH020';
    end if;

    select string_agg(event, ', ')
    into unknown
    from unnest(events) as event
    where event <> all (enum_range(null::jobhooks.action)::text[]);
    if unknown is not null or cardinality(events) = 0 then
        raise exception 'cannot add hook "%": %', name,
            coalesce('there is no event ' || unknown, 'you must select at least one event')
        using errcode = 'JH021', hint = 'The events are create, update, delete and truncate.';
    end if;
    actions := (select array_agg(distinct event::jobhooks.action) from unnest(events) as event);

    relations := (select array_agg(distinct to_regclass(content_type)) from unnest(content_types) as content_type);
    select string_agg(content_type, ', ')
    into unknown
    from unnest(content_types) as content_type
    where not exists (
        select from jobhooks.content_type as known where known.relation = to_regclass(content_type) and known.watched
    );
    if unknown is not null or cardinality(content_types) = 0 then
        raise exception 'cannot add hook "%": %', name,
            coalesce(unknown || ' is not a watched table', 'you must select at least one content type')
        using errcode = 'JH022', hint = 'Watch it with: jobhooks table watch ' || coalesce(unknown, 'SCHEMA.TABLE');
    end if;

    begin
        insert into jobhooks.job_hook (name, description, job_id, events)
        values (add_hook.name, add_hook.description, job_id, actions)
        returning id into hook_id;
    exception when unique_violation then
        raise exception 'cannot add hook "%": there is a hook of that name', name
        using errcode = 'JH023', hint = 'Choose another name; "jobhooks hook list" shows those taken.';
    end;
    insert into jobhooks.job_hook_content_type (job_hook_id, content_type_id)
    select hook_id, content_type.id
    from jobhooks.content_type as content_type
    where content_type.relation = any (relations);
    return hook_id;
end
$$;

comment on function jobhooks.add_hook(text, text [], text [], text, text) is 'Add a job hook; returns its id';
