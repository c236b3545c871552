-- jobhooks.problems_of_deliveries(): deliveries that do not arrive: dead ones, and old ones in the backlog.
create or replace function jobhooks.problems_of_deliveries()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'error', coalesce('hook "' || hook.name || '"', 'a hook that is gone'),
        format(
            '%s %s failed and %s kept until somebody decides, the oldest for change %s', count(*),
            case count(*) when 1 then 'delivery' else 'deliveries' end, case count(*) when 1 then 'is' else 'are' end,
            min(delivery.change_id)
        ),
        concat(
            'jobhooks delivery list --state dead',
            -- As a shell takes it.
            ' --hook ''' || replace(hook.name, '''', '''\''''') || ''''
        )
    from jobhooks.delivery as delivery
    left join jobhooks.job_hook as hook on hook.id = delivery.hook_id
    where delivery.status = 'dead'
    group by delivery.hook_id, hook.name
    union all
    select
        'error', coalesce('hook "' || hook.name || '"', 'a hook that is gone'),
        format(
            '%s should have been attempted, the oldest at %s',
            case count(*) when 1 then '1 delivery' else count(*) || ' deliveries' end, min(delivery.due_at)::timestamptz(0)
        ),
        'see whether the daemon runs, and what it logs'
    from jobhooks.delivery_states(array(
        select late.hook_id from jobhooks.delivery as late where late.status = 'waiting' and late.due_at < now() - interval '1 hour'
    )) as delivery
    left join jobhooks.job_hook as hook on hook.id = delivery.hook_id
    where delivery.state in ('waiting', 'retrying') and delivery.waits_for is null and delivery.due_at < now() - interval '1 hour'
    group by delivery.hook_id, hook.name
    union all
    select
        'error', 'the log',
        format('about %s changes wait to be read, the oldest since %s', backlog.changes, backlog.oldest::timestamptz(0)),
        'see whether the daemon runs, and what it logs'
    from jobhooks.backlog as backlog
    where backlog.status = 'unread' and backlog.hook is null
        and backlog.oldest < now() - interval '1 hour'
        and exists (select from jobhooks.hooks as hook where hook.runs)
$$;

comment on function jobhooks.problems_of_deliveries() is
'Deliveries that do not arrive: dead ones, and old ones in the backlog';
