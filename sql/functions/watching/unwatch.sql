-- jobhooks.unwatch(relation): stop watching a table. Recorded changes stay, and are still delivered.
--
-- It waits half a second for each lock, as watch does.
create or replace function jobhooks.unwatch(relation regclass)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former_timeout constant text := jobhooks.wait_briefly();
    content_type_id integer;
begin
    update jobhooks.content_type as content_type
    set watched = false
    where content_type.relation = unwatch.relation and content_type.watched
    returning content_type.id into content_type_id;
    if not found then
        raise exception 'cannot unwatch %: it is not watched', jobhooks.table_name(relation) using errcode = 'JH002';
    end if;
    perform jobhooks.drop_triggers(content_type_id);
    perform set_config('lock_timeout', former_timeout, true);
end
$$;

comment on function jobhooks.unwatch(regclass) is 'Stop watching a table; recorded changes stay, and are still delivered';
