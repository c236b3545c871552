-- jobhooks.delete_hook(name): delete a job hook, and discard what it is owed; returns how many deliveries that were.
--
-- Its results stay. What is owed to a hook that is gone nobody could attempt, and the log would keep the changes for it.
create or replace function jobhooks.delete_hook(name text)
returns bigint
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    its_id integer;
    discarded bigint;
begin
    select id into its_id from jobhooks.job_hook as hook where hook.name = delete_hook.name for update;
    if not found then
        raise exception 'there is no hook "%"', name using errcode = 'JH029', hint = 'jobhooks hook list';
    end if;
    select jobhooks.discard_deliveries(
        array_agg(delivery.change_id), array_agg(delivery.hook_id),
        format('the hook "%s" was deleted by %s', delete_hook.name, session_user)
    )
    into discarded
    from jobhooks.delivery as delivery
    where delivery.hook_id = its_id
    having count(*) > 0;
    -- Those of which an attempt was settled while nobody could say so.
    delete from jobhooks.delivery as delivery where delivery.hook_id = its_id;
    delete from jobhooks.job_hook where id = its_id;
    return coalesce(discarded, 0);
end
$$;

comment on function jobhooks.delete_hook(text) is
'Delete a job hook, and discard what it is owed; returns how many deliveries that were';
