-- jobhooks.wait_briefly(): from here on in the transaction wait half a second for a lock, if not less; returns what was set
-- before.
--
-- Whoever waits for the lock on a table makes the application's writers queue behind. For functions that people call,
-- which set it back at their end; where one fails, that undoes it.
create or replace function jobhooks.wait_briefly()
returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former constant text := current_setting('lock_timeout');
begin
    if (select setting::integer not between 1 and 500 from pg_settings where name = 'lock_timeout') then -- milliseconds
        perform set_config('lock_timeout', '500ms', true);
    end if;
    return former;
end
$$;

comment on function jobhooks.wait_briefly() is
'From here on in the transaction wait half a second for a lock, if not less; returns what was set before';
