-- jobhooks.hooks: the job hooks, and whether changes lead to runs now: hook and job are enabled, the hook is not paused, the
-- conditions compile, and the receiver takes the data.
--
-- loaded: whether the daemon that leads has loaded the receiver; null if no daemon leads.
-- Conditions and data that no program has checked are unchecked. A running daemon checks them within a second. A hook without data is
-- taken to be right until a daemon finds that its receiver needs some.
create or replace view jobhooks.hooks as
select
    hook.name,
    array(
        select coalesce(jobhooks.table_name(content_type.relation), content_type.name)
        from jobhooks.job_hook_content_type as link
        join jobhooks.content_type as content_type on content_type.id = link.content_type_id
        where link.job_hook_id = hook.id
        order by 1
    ) as content_types,
    hook.events::text [] as events,
    job.class_path as job,
    hook.enabled,
    hook.enabled and not hook.paused and job.installed and job.enabled and (
        hook.conditions = '' or (verdict.hook_id is not null and verdict.error is null and not coalesce(failure.invalid, false))
    ) and case when taken.hook_id is null then hook.data = '{}' else taken.error is null end as runs,
    hook.description,
    hook.id,
    hook.priority,
    hook.columns,
    hook.conditions,
    hook.coalesce_s,
    obstacle.problems || coalesce('. Try: ' || obstacle.remedies, '') as why_not,
    coalesce(failure.failures, 0) as condition_failures,
    coalesce(verdict.error, failure.error) as condition_error,
    jobhooks.configuration_of_hook(hook.id) as settings,
    case
        when hook.conditions = '' then null
        when verdict.error is not null or failure.invalid then 'invalid'
        when verdict.hook_id is null then 'unchecked'
        else 'valid'
    end as condition_state,
    hook.paused,
    hook.roles,
    hook.data,
    case
        when taken.error is not null then 'invalid'
        when hook.data = '{}' then null
        when taken.hook_id is null then 'unchecked'
        else 'valid'
    end as data_state,
    taken.error as data_error,
    case when daemon.has_loaded then job.installed end as loaded,
    coalesce(chain_end.changes, 0) as chain_ends,
    chain_end.change_id as chain_end_change_id
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
cross join (select jobhooks.has_loaded() as has_loaded) as daemon
left join jobhooks.condition_failure as failure on failure.hook_id = hook.id
left join jobhooks.chain_end as chain_end on chain_end.hook_id = hook.id
left join jobhooks.condition_verdict as verdict
    on verdict.hook_id = hook.id and verdict.conditions = hook.conditions and verdict.checked_at > '-infinity'
left join jobhooks.data_verdict as taken
    on taken.hook_id = hook.id and taken.job_id = hook.job_id and taken.data = hook.data
cross join lateral (
    select string_agg(problem, '; ' order by place) as problems, string_agg(remedy, '; ' order by place) as remedies
    from (
        select 1 as place, 'it is not enabled' as problem, null as remedy
        where not hook.enabled
        union all
        select
            2, 'it is paused' || coalesce(': ' || (select known.reason from jobhooks.hook_loop as known where known.hook_id = hook.id), ''),
            format('jobhooks hook resume ''%s''', replace(hook.name, '''', '''\''''')) -- as a shell takes it
        where hook.paused
        union all
        select 3, coalesce(verdict.error, failure.error), null
        where verdict.error is not null or failure.invalid
        union all
        select 4, 'its conditions are unchecked: no daemon has compiled them yet', 'jobhooks run, or start its service'
        where hook.conditions <> '' and verdict.hook_id is null and not coalesce(failure.invalid, false)
        union all
        select 5, taken.error, null
        where taken.error is not null
        union all
        select 6, 'its data are unchecked: no daemon has checked them yet', 'jobhooks run, or start its service'
        where hook.data <> '{}' and taken.hook_id is null and job.installed
        union all
        select
            7, format('its job %s is not installed: ', job.class_path) || coalesce(
                (
                    select format('the daemon cannot load its module: %s%s: %s', broken.path, ':' || broken.line, broken.error)
                    from jobhooks.broken_module as broken
                    where daemon.has_loaded and starts_with(job.class_path, broken.module || '.')
                    limit 1
                ),
                case when daemon.has_loaded then 'the daemon has not loaded its receiver' else 'no daemon has loaded its receiver' end
            ),
            case
                when daemon.has_loaded then 'put the receiver into a directory of the daemon''s receivers_path'
                else 'jobhooks run, or start its service'
            end
        where not job.installed
        union all
        select 8, format('its job %s is not enabled', job.class_path), format('jobhooks job enable %s', job.class_path)
        where not job.enabled
        union all
        select
            8 + row_number() over (order by content_type.id),
            coalesce(jobhooks.table_name(content_type.relation), content_type.name) || case
                when jobhooks.table_name(content_type.relation) is null then ' was dropped' else ' is not watched'
            end,
            case when jobhooks.table_name(content_type.relation) is not null then jobhooks.watch_command(content_type.id) end
        from jobhooks.job_hook_content_type as link
        join jobhooks.content_type as content_type on content_type.id = link.content_type_id
        where link.job_hook_id = hook.id
            and not (content_type.watched and jobhooks.table_name(content_type.relation) is not null)
    ) as found
) as obstacle;

comment on view jobhooks.hooks is 'The job hooks, and whether changes lead to runs now';
