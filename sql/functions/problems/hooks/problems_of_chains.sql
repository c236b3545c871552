-- jobhooks.problems_of_chains(): enabled hooks that did not run for a change of the last 24 hours because of their chain_depth.
create or replace function jobhooks.problems_of_chains()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'warning', format('hook "%s"', hook.name),
        format(
            'about %s %s deeper in a chain than its chain_depth of %s, so it did not run for %s; the last is change %s',
            chain_end.changes, case chain_end.changes when 1 then 'change was' else 'changes were' end, hook.chain_depth,
            case chain_end.changes when 1 then 'it' else 'them' end, chain_end.change_id
        ),
        format('jobhooks change show %s, which names the run that wrote it', chain_end.change_id)
    from jobhooks.chain_end as chain_end
    join jobhooks.job_hook as hook on hook.id = chain_end.hook_id
    where hook.enabled and chain_end.time > now() - interval '24 hours'
$$;

comment on function jobhooks.problems_of_chains() is
'Hooks that lately did not run for a change because of their chain_depth';
