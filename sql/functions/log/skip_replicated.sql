-- jobhooks.skip_replicated(): the trigger function that keeps rows of another database out of the tables of jobhooks.
--
-- A publication for all tables has these tables, and what they say is about the publisher: its log, its cursor, its hooks. The
-- rows are left out without an error, so replication goes on. The trigger is for session_replication_role = replica alone, which
-- a restore can also set: then the rows stay. So do rows that a statement of a trigger writes in the worker, as the capture of a
-- table that is watched with "always": a worker's own writes are no statements. Security definer, so that each role may call what it
-- calls. TRUNCATE, which no trigger can leave out, is not used on these tables.
create or replace function jobhooks.skip_replicated()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    context text;
begin
    if jobhooks.applies_replication() then
        get diagnostics context = pg_context;
        if strpos(context, E'\nSQL statement "') = 0 then
            return null;
        end if;
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end
$$;

comment on function jobhooks.skip_replicated() is
'The trigger function that keeps rows of another database out of the tables of jobhooks';

do $$
declare
    relation regclass;
begin
    for relation in
        select oid from pg_class
        where relnamespace in ('jobhooks'::regnamespace, 'jobhooks_capture'::regnamespace) and relkind = 'r'
    loop
        perform jobhooks.add_replication_trigger(relation);
    end loop;
end
$$;
