-- The parts of the script that `jobhooks install --print` writes. Its parameters are filled in as text: :newest is the highest
-- migration of this program; :outdated_tables, :watch_again and :schema_version are the queries of these names.

-- name: script_begin
do $script$
declare
    installed integer := 0;
begin
    if exists (select from pg_class where relname = 'migration' and relnamespace = to_regnamespace('jobhooks')) then
        select found.version into installed from (
:schema_version
        ) as found;
        if installed = 0 then
            raise exception 'the schema jobhooks has no rows, and is of an unknown version'
            using hint = 'Remove it: jobhooks uninstall. Then run this script again, and watch the tables again.';
        end if;
    end if;
    if installed > :newest then
        raise exception 'the database has a newer jobhooks (schema %) than this script (schema %)', installed, :newest
        using hint = 'Print the script with that version of the program.';
    end if;
    perform set_config('jobhooks.schema_version', installed::text, true);
end
$script$;

-- name: script_migration
do $script$
begin
    if current_setting('jobhooks.schema_version')::integer < :version then
        execute :statements;
    end if;
    insert into jobhooks.migration (version, name) values (:version, :name) on conflict do nothing;
end
$script$;

-- name: script_watch_outdated
-- Each table in a separate transaction, so that no table is locked longer than its turn takes, with short lock waits, because
-- the application's writers queue behind.
do $script$
declare
    outdated record;
begin
    for outdated in
:outdated_tables
    loop
        for attempt in 1..4 loop
            begin
                perform set_config('lock_timeout', '500ms', true);
                execute $watch$
:watch_again
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
