-- jobhooks.unwatch(relation): stop watching a table. What was captured stays, and is still delivered.
create or replace function jobhooks.unwatch(relation regclass)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    table_name constant text := jobhooks.table_name(relation);
begin
    update jobhooks.content_type as content_type
    set watched = false
    where content_type.relation = unwatch.relation and content_type.watched;
    if not found then
        raise exception 'cannot unwatch %: it is not watched', table_name using errcode = 'JH002';
    end if;
    execute format('drop trigger if exists "!jobhooks_capture" on %s', table_name);
    execute format('drop trigger if exists "!jobhooks_capture_update" on %s', table_name);
    execute format('drop trigger if exists "!jobhooks_capture_truncate" on %s', table_name);
end
$$;

comment on function jobhooks.unwatch(regclass) is 'Stop watching a table; what was captured stays, and is still delivered';
