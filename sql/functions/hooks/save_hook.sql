-- jobhooks.save_hook(name, settings): add a job hook (name: null), or change one; returns its id.
--
-- settings: an object with some of content_types, job, and columns of jobhooks.job_hook such as name, events and conditions. A
-- setting that is left out keeps its value, or gets its default. A coalesce_s of null turns merging off. The triggers check_hook
-- and check_hook_targets check the rest, for every statement that writes a hook. The statement here is built from the columns
-- that the settings name, quoted by the catalogue: so a new column is a new setting.
create or replace function jobhooks.save_hook(name text, settings jsonb)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    shown constant text := left(coalesce(save_hook.name, save_hook.settings ->> 'name'), 255);
    names constant text [] := array(
        select attribute.attname
        from pg_attribute as attribute
        where attribute.attrelid = 'jobhooks.job_hook'::regclass
            and attribute.attnum > 0 and not attribute.attisdropped
            and attribute.attname <> all ('{id,job_id,enabled_since,created_at}'::text [])
    );
    unknown constant text := (
        select string_agg(key, ', ' order by key)
        from jsonb_object_keys(save_hook.settings) as key
        where key <> all (names || '{content_types,job}'::text [])
    );
    hook_id integer;
    job_id constant integer := (select known.id from jobhooks.job as known where known.class_path = save_hook.settings ->> 'job');
    content_type_ids integer [];
    changed jsonb := save_hook.settings
        || case when save_hook.settings ? 'job' then jsonb_build_object('job_id', job_id) else '{}' end
        || (
            select coalesce(jsonb_object_agg(setting, array(
                select distinct item from jsonb_array_elements_text(save_hook.settings -> setting) as item order by 1
            )), '{}')
            from unnest('{columns,roles,rate_per}'::text []) as setting
            where jsonb_typeof(save_hook.settings -> setting) = 'array'
        );
    -- For a column that cannot be null, a null keeps the value.
    targets constant text := (
        select string_agg(quote_ident(attribute.attname), ', ' order by attribute.attnum)
        from pg_attribute as attribute
        where attribute.attrelid = 'jobhooks.job_hook'::regclass
            and attribute.attname = any (names || 'job_id'::text)
            and changed ? attribute.attname::text
            and not (attribute.attnotnull and changed -> attribute.attname::text = 'null')
    );
begin
    if save_hook.name is not null then
        -- Locked, so that the hook stays the same until the end.
        select known.id into hook_id from jobhooks.job_hook as known where known.name = save_hook.name for update;
        if not found then
            perform jobhooks.refuse_unknown_hook(save_hook.name);
        end if;
    end if;
    if unknown is not null then
        raise exception 'cannot save hook "%": it has no %', shown, unknown using errcode = 'JH028';
    end if;
    if (hook_id is null or save_hook.settings ? 'job') and job_id is null then
        raise exception 'cannot save hook "%": there is no job %', shown, coalesce(save_hook.settings ->> 'job', '')
            || jobhooks.did_you_mean(save_hook.settings ->> 'job', array(select known.class_path from jobhooks.job as known))
        using errcode = 'JH020', hint = case jobhooks.did_you_mean(
            save_hook.settings ->> 'job', array(select known.class_path from jobhooks.job as known)
        )
            when '' then format(
                'jobhooks job enable %s, if its receiver is new; jobhooks job list shows the others', save_hook.settings ->> 'job'
            )
            else 'jobhooks job list'
        end;
    end if;
    if hook_id is null or save_hook.settings ? 'content_types' then
        content_type_ids := jobhooks.content_types_called(
            shown, array(select jsonb_array_elements_text(nullif(save_hook.settings -> 'content_types', 'null')))
        );
    end if;
    if hook_id is null or save_hook.settings ? 'events' then
        changed := changed || jsonb_build_object('events', jobhooks.actions_called(
            shown, array(select jsonb_array_elements_text(nullif(save_hook.settings -> 'events', 'null')))
        ));
    end if;
    begin
        if hook_id is null then
            execute format(
                'insert into jobhooks.job_hook (%1$s) select %1$s from jsonb_populate_record(null::jobhooks.job_hook, $1) returning id',
                targets
            ) using changed into hook_id;
        elsif targets <> '' then
            execute format(
                'update jobhooks.job_hook set (%1$s) = (select %1$s from jsonb_populate_record(null::jobhooks.job_hook, $1)) where id = $2',
                targets
            ) using changed, hook_id;
        end if;
    exception when unique_violation then
        raise exception 'cannot save hook "%": there is a hook "%"', shown, save_hook.settings ->> 'name'
        using errcode = 'JH023', hint = 'another name; jobhooks hook list shows the names taken';
    end;
    if content_type_ids is not null then
        delete from jobhooks.job_hook_content_type as link
        where link.job_hook_id = hook_id and link.content_type_id <> all (content_type_ids);
        insert into jobhooks.job_hook_content_type (job_hook_id, content_type_id)
        select hook_id, content_type_id
        from unnest(content_type_ids) as content_type_id
        on conflict do nothing;
    end if;
    return hook_id;
end
$$;

comment on function jobhooks.save_hook(text, jsonb) is 'Add a job hook (name: null), or change one; returns its id';
