-- jobhooks.give_up_position(): the trigger function that deletes the positions of hooks that are deleted or disabled, or whose job
-- is disabled.
--
-- A disabled hook does not get changes of that time, so the log need not keep them. It starts where the others read when it is
-- enabled; a position that a daemon saved in between goes then. Deferred to the commit, because the daemon locks the same rows
-- every second. Security definer, because a role that may change a hook need not be allowed to change its position.
create or replace function jobhooks.give_up_position()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' then
        delete from jobhooks.hook_position as position where position.hook_id = old.id;
    elsif tg_relid = 'jobhooks.job'::regclass then
        delete from jobhooks.hook_position as position
        using jobhooks.job_hook as hook
        where hook.id = position.hook_id and hook.job_id = new.id;
    else
        delete from jobhooks.hook_position as position where position.hook_id = new.id;
    end if;
    return null;
end
$$;

comment on function jobhooks.give_up_position() is
'The trigger function that deletes the positions of hooks that are deleted or disabled, or whose job is disabled';

do $$
declare
    relation regclass;
begin
    foreach relation in array array['jobhooks.job', 'jobhooks.job_hook']::regclass [] loop
        if not exists (select from pg_trigger where tgrelid = relation and tgname = 'give_up_position') then
            execute format(
                'create constraint trigger give_up_position after update on %s
                deferrable initially deferred for each row when (old.enabled <> new.enabled)
                execute function jobhooks.give_up_position()', relation);
        end if;
    end loop;
    if not exists (
        select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'give_up_position_of_deleted'
    ) then
        create constraint trigger give_up_position_of_deleted after delete on jobhooks.job_hook
        deferrable initially deferred for each row execute function jobhooks.give_up_position();
    end if;
end
$$;
