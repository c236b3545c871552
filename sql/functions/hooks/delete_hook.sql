-- jobhooks.delete_hook(name): delete a job hook, and discard its pending deliveries; returns how many.
--
-- Its results stay. Without the hook its deliveries could not be attempted, and the log would keep their changes forever.
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
        perform jobhooks.refuse_unknown_hook(name);
    end if;
    select jobhooks.discard_deliveries(
        array_agg(delivery.change_id), array_agg(delivery.hook_id),
        format('the hook "%s" was deleted by %s', delete_hook.name, session_user)
    )
    into discarded
    from jobhooks.delivery as delivery
    where delivery.hook_id = its_id
    having count(*) > 0;
    -- Deliveries whose next attempt already has a result, which discard_deliveries skips.
    delete from jobhooks.delivery as delivery where delivery.hook_id = its_id;
    delete from jobhooks.job_hook where id = its_id;
    return coalesce(discarded, 0);
end
$$;

comment on function jobhooks.delete_hook(text) is
'Delete a job hook, and discard its pending deliveries; returns how many';
