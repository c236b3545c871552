-- jobhooks.configuration_of_hook(hook_id): all settings of a job hook, by the names of jobhooks.save_hook.
create or replace function jobhooks.configuration_of_hook(hook_id integer)
returns json
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select (
        jsonb_build_object(
            'content_types', array(
                select coalesce(jobhooks.table_name(content_type.relation), content_type.name)
                from jobhooks.job_hook_content_type as link
                join jobhooks.content_type as content_type on content_type.id = link.content_type_id
                where link.job_hook_id = hook.id
                order by 1
            ),
            'job', (select job.class_path from jobhooks.job as job where job.id = hook.job_id)
        ) || (to_jsonb(hook) - '{id,job_id,enabled_since,created_at}'::text [])
    )::json
    from jobhooks.job_hook as hook
    where hook.id = configuration_of_hook.hook_id
$$;

comment on function jobhooks.configuration_of_hook(integer) is
'All settings of a job hook, by the names of jobhooks.save_hook';
