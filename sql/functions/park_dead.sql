-- jobhooks.park_dead(change_id, hook_id, attempts): keep a failed delivery as a debt that waits for a decision.
create or replace function jobhooks.park_dead(change_id bigint, hook_id integer, attempts integer)
returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
    insert into jobhooks.delivery (change_id, hook_id, status, attempts)
    values (park_dead.change_id, park_dead.hook_id, 'dead', park_dead.attempts)
    on conflict (change_id, hook_id) do update set status = 'dead', attempts = excluded.attempts, due_at = null
$$;

comment on function jobhooks.park_dead(bigint, integer, integer) is
'Keep a failed delivery as a debt that waits for a decision';
