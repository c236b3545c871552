-- jobhooks.edit_hook(name, changes): change settings of a job hook; the others stay.
--
-- changes: as the settings of jobhooks.save_hook, such as {"columns": ["serial"], "coalesce_s": null}.
create or replace function jobhooks.edit_hook(name text, changes jsonb)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    select jobhooks.save_hook(coalesce(edit_hook.name, ''), edit_hook.changes)
$$;

comment on function jobhooks.edit_hook(text, jsonb) is 'Change settings of a job hook; the others stay';
