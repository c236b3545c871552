-- jobhooks_capture.relations(): the tables of the content types, by their numbers.
--
-- Immutable, although it reads a table: so the planner puts the result into the plan of record_change, once in a session. A number
-- that is newer is missing there, and check_call looks it up. Evaluated only if may_be_called.
create or replace function jobhooks_capture.relations()
returns oid[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return array(
        select known.relation
        from generate_series(1, (select least(max(id), 10000) from jobhooks.content_type)) as number (id)
        left join jobhooks.content_type as known using (id)
        order by id
    );
end
$$;

comment on function jobhooks_capture.relations() is 'The tables of the content types, by their numbers';
