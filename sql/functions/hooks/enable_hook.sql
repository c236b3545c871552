-- jobhooks.enable_hook(name, enabled): enable or disable a job hook. Enabled, it gets changes that commit from then on.
create or replace function jobhooks.enable_hook(name text, enabled boolean default true)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    update jobhooks.job_hook as hook
    set enabled = enable_hook.enabled
    where hook.name = enable_hook.name;
    if not found then
        perform jobhooks.refuse_unknown_hook(name);
    end if;
end
$$;

comment on function jobhooks.enable_hook(text, boolean) is
'Enable or disable a job hook. Enabled, it gets changes that commit from then on';
