-- jobhooks.greatest_change_id(): the greatest id that a change in the log, a saved position, a result or a row of the backlog has.
--
-- The next change must get a greater one: with one up to a saved position it would count as read, and with a result as done.
-- Retention drops changes, so those in the log alone do not tell. Security definer: the capture asks for it as well.
create or replace function jobhooks.greatest_change_id()
returns bigint
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select greatest((select max(change.id) from jobhooks.object_change as change), jobhooks.known_to_reader(), 0)
$$;

comment on function jobhooks.greatest_change_id() is
'The greatest id that a change in the log, a saved position, a result or a row of the backlog has';
