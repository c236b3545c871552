-- jobhooks.forget_loop(): the trigger function that forgets why the daemon has paused a hook when it is resumed.
--
-- Security definer, because a role that may change a hook need not be allowed to change this.
create or replace function jobhooks.forget_loop()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from jobhooks.hook_loop where hook_id = new.id;
    return null;
end
$$;

comment on function jobhooks.forget_loop() is
'The trigger function that forgets why the daemon has paused a hook when it is resumed';

do $$
begin
    if not exists (select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'forget_loop') then
        create trigger forget_loop
        after update on jobhooks.job_hook
        for each row when (old.paused and not new.paused)
        execute function jobhooks.forget_loop();
    end if;
end
$$;
