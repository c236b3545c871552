-- jobhooks.ended_transactions(snapshot, number): the ids of the last transactions that had ended in a snapshot, in order.
--
-- The three ids whose last 32 bits are 0, 1 or 2 belong to no transaction, and a snapshot cannot have the first one.
create or replace function jobhooks.ended_transactions(snapshot pg_snapshot, number bigint)
returns bigint []
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    next_id constant bigint := pg_snapshot_xmax(snapshot)::text::bigint;
    in_progress constant bigint [] := array(select id::text::bigint from pg_snapshot_xip(snapshot) as id);
    -- 3 is the first id of all.
    first_id constant bigint := next_id - number - cardinality(in_progress);
    ended bigint [];
begin
    if first_id < 3 then
        raise exception 'cannot keep unread changes apart: this server has handed out % transaction ids too few', 3 - first_id
            using errcode = 'JH031', hint = 'jobhooks adopt --moved, which uses up so many';
    end if;
    select coalesce(array_agg(id order by id), '{}') into ended
    from (
        select id from generate_series(greatest(first_id - 3, 3), next_id - 1) as id
        where id <> all (in_progress) and (id & 4294967295) > 2
        order by id desc
        limit number
    ) as one;
    return ended;
end
$$;

comment on function jobhooks.ended_transactions(pg_snapshot, bigint) is
'The ids of the last transactions that had ended in a snapshot, in order';
