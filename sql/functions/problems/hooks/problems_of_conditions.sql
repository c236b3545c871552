-- jobhooks.problems_of_conditions(): job hooks whose conditions are invalid, unchecked, or failed for some changes.
--
-- An invalid hook that is disabled is a warning: it would get no changes once it is enabled. Failures of a hook that is disabled are
-- over.
create or replace function jobhooks.problems_of_conditions()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when hook.enabled and hook.condition_state = 'invalid' then 'error' else 'warning' end,
        format('hook "%s"', hook.name),
        case hook.condition_state
            when 'invalid' then format('it gets no changes: %s', hook.condition_error)
            when 'unchecked' then 'its conditions are unchecked: no program has compiled them yet'
            else format(
                'it missed about %s %s because its conditions could not be evaluated, most recently change %s: %s',
                failure.failures, case failure.failures when 1 then 'change' else 'changes' end, failure.change_id, failure.error
            )
        end,
        case hook.condition_state
            when 'unchecked' then 'start the daemon, which checks them'
            -- As a shell takes it.
            else format('jobhooks hook edit ''%s'' --conditions EXPRESSION', replace(hook.name, '''', '''\'''''))
        end
    from jobhooks.hooks as hook
    left join jobhooks.condition_failure as failure on failure.hook_id = hook.id
    where hook.condition_state in ('invalid', 'unchecked') or (hook.enabled and failure.failures > 0)
$$;

comment on function jobhooks.problems_of_conditions() is
'Job hooks whose conditions are invalid, unchecked, or failed for some changes';
