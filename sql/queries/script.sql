-- The parts of what jobhooks install --print writes: plain SQL, in which $1 and so on are filled in as text.
-- script_begin takes the highest migration that the program knows; script_migration takes the number of one, its name and
-- its statements; script_watch_outdated takes the queries outdated_tables and watch_again.

-- name: script_begin
do $script$
declare
    installed integer := 0;
begin
    if exists (select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')) then
        select coalesce(max(version), 0) into installed from jobhooks.migration;
    end if;
    if installed > $1 then
        raise exception 'the database has a newer jobhooks (schema %) than this script (schema $1)', installed
        using hint = 'Print the script with that version of the program.';
    end if;
    perform set_config('jobhooks.schema_version', installed::text, true);
end
$script$;

-- name: script_migration
do $script$
begin
    if current_setting('jobhooks.schema_version')::integer < $1 then
        execute $3;
        insert into jobhooks.migration (version, name) values ($1, $2);
    end if;
end
$script$;

-- name: script_watch_outdated
-- Each table in a transaction of its own, so that none is locked longer than its turn takes, and waiting briefly, since the
-- application's writers queue behind.
do $script$
declare
    outdated record;
begin
    for outdated in
$1
    loop
        for attempt in 1..4 loop
            begin
                perform set_config('lock_timeout', '500ms', true);
                execute $watch$
$2
                $watch$ using outdated.relation;
                raise notice 'watching % again', outdated.name;
                exit;
            exception when others then
                if attempt = 4 or sqlstate <> '55P03' then
                    raise warning 'cannot watch % again: %', outdated.name, sqlerrm
                    using hint = 'What it captured before goes on. Run this script again, or jobhooks install.';
                    exit;
                end if;
            end;
            commit;
            perform pg_sleep(0.5);
        end loop;
        commit;
    end loop;
end
$script$;
