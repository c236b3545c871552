-- jobhooks.add_replication_trigger(relation): give a table of jobhooks the trigger that leaves out replicated rows.
--
-- Only if it has none: it locks the table, and the application writes to the log.
create or replace function jobhooks.add_replication_trigger(relation regclass)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if not exists (select from pg_trigger where tgrelid = relation and tgname = 'skip_replicated') then
        execute format(
            'create trigger skip_replicated before insert or update or delete on %s
            for each row execute function jobhooks.skip_replicated()', relation);
        execute format('alter table only %s enable replica trigger skip_replicated', relation);
    end if;
end
$$;

comment on function jobhooks.add_replication_trigger(regclass) is
'Give a table of jobhooks the trigger that leaves out replicated rows';
