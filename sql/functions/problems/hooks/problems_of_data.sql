-- jobhooks.problems_of_data(): job hooks whose data the receiver does not take, or that no program has checked.
--
-- The changes of such a hook wait, as those of a hook without a receiver do.
create or replace function jobhooks.problems_of_data()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when hook.enabled and hook.data_state = 'invalid' then 'error' else 'warning' end,
        format('hook "%s"', hook.name),
        case hook.data_state
            when 'invalid' then format('its changes wait: %s', hook.data_error)
            else 'its data are unchecked: no program that has its receiver has seen them yet'
        end,
        case hook.data_state
            when 'unchecked' then 'start the daemon, which checks them'
            -- As a shell takes it.
            else format('jobhooks hook edit ''%s'' --data KEY=VALUE', replace(hook.name, '''', '''\'''''))
        end
    from jobhooks.hooks as hook
    join jobhooks.job as job on job.class_path = hook.job and job.installed
    where hook.data_state in ('invalid', 'unchecked')
$$;

comment on function jobhooks.problems_of_data() is
'Job hooks whose data the receiver does not take, or that no program has checked';
