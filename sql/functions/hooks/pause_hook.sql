-- jobhooks.pause_hook(name, paused): pause or resume a job hook.
--
-- A paused hook runs nothing, and keeps its position in the log and its pending deliveries. Resumed, it gets the changes that
-- committed in between. Retention keeps the log from its position on.
create or replace function jobhooks.pause_hook(name text, paused boolean default true)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.job_hook as hook
    set paused = pause_hook.paused
    where hook.name = pause_hook.name;
    if not found then
        perform jobhooks.refuse_unknown_hook(name);
    end if;
end
$$;

comment on function jobhooks.pause_hook(text, boolean) is
'Pause or resume a job hook. Paused, it runs nothing and keeps its position and its pending deliveries';
