-- jobhooks.problems_of_crashes(): deliveries during which daemons have died.
create or replace function jobhooks.problems_of_crashes()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        case when delivery.status = 'dead' then 'error' else 'warning' end, format('hook "%s"', hook.name),
        format(
            '%s ended while %s ran for change %s; %s',
            case suspect.crashes when 1 then 'a daemon' else suspect.crashes || ' daemons' end, job.class_path, suspect.change_id,
            case when delivery.status = 'dead' then 'the delivery is set aside' else 'it runs alone next' end
        ),
        format(
            case
                when delivery.status = 'dead' then 'correct %1$s, or make it a def receiver; then: jobhooks delivery retry %2$s'
                else 'correct %1$s, or make it a def receiver'
            end,
            job.class_path, suspect.change_id
        )
    from jobhooks.suspect as suspect
    join jobhooks.job_hook as hook on hook.id = suspect.hook_id
    join jobhooks.job as job on job.id = hook.job_id
    left join jobhooks.delivery as delivery
        on delivery.change_id = suspect.change_id and delivery.hook_id = suspect.hook_id
    where suspect.crashes > 0
$$;

comment on function jobhooks.problems_of_crashes() is 'Deliveries during which daemons have died';
