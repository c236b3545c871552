-- jobhooks.adopt_moved(): go on in this database where the daemon stopped in another place; returns whether the transaction
-- ids go on as well.
--
-- For the same database after an upgrade, a restore or a move. Nothing that is unread or pending is dropped, and nothing that
-- has a result is delivered again.
create or replace function jobhooks.adopt_moved()
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    survived boolean;
begin
    perform jobhooks.begin_adoption();
    survived := jobhooks.transaction_ids_survived();
    if not survived then
        perform jobhooks.renumber_transactions();
    end if;
    perform jobhooks.end_adoption();
    return survived;
end
$$;

comment on function jobhooks.adopt_moved() is
'Go on in this database where the daemon stopped in another place; returns whether the transaction ids go on as well';
