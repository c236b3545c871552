-- jobhooks.wait_briefly(): limit lock waits in this transaction to half a second, or a shorter setting; returns the setting
-- before.
--
-- A session that waits for a table's lock makes the application's writers queue behind it. For functions that people call,
-- which restore the setting at their end; an error restores it as well.
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
'Limit lock waits in this transaction to half a second, or a shorter setting; returns the setting before';
