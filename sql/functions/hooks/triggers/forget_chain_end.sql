-- jobhooks.forget_chain_end(): the trigger function that restarts the count when a hook's chain_depth changes.
--
-- Deferred to the commit, and security definer, as forget_condition_failures.
create or replace function jobhooks.forget_chain_end()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from jobhooks.chain_end where hook_id = new.id;
    return null;
end
$$;

comment on function jobhooks.forget_chain_end() is
'The trigger function that restarts the count when a hook''s chain_depth changes';

do $$
begin
    if not exists (
        select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'forget_chain_end'
    ) then
        create constraint trigger forget_chain_end
        after update on jobhooks.job_hook
        deferrable initially deferred
        for each row when (new.chain_depth <> old.chain_depth)
        execute function jobhooks.forget_chain_end();
    end if;
end
$$;
