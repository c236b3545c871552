-- Preparing a session for jobhooks, right after connecting. All names are qualified: the search_path may be anybody's.

-- name: set_up_session
-- The session's process id, whether the server is a replica, and the settings that this changed: RESET ALL takes them back. The
-- settings are made only in the session of :process, which a pooler may not give; null: in any. Settings that this version does
-- not have are left out. In the search_path, pg_catalog is first.
with wanted as materialized (
    select setting.key, setting.value, pg_catalog.current_setting(setting.key, true) as former
    from pg_catalog.json_each_text(:settings::pg_catalog.text::pg_catalog.json) as setting
    where coalesce(:process operator(pg_catalog.=) pg_catalog.pg_backend_pid(), true)
    union all
    select
        'search_path', pg_catalog.string_agg(part, ', ' order by place using operator(pg_catalog.<)),
        pg_catalog.current_setting('search_path')
    from pg_catalog.regexp_split_to_table(pg_catalog.current_setting('search_path'), '[[:space:]]*,[[:space:]]*')
        with ordinality as path (part, place)
    where pg_catalog.current_setting('search_path') operator(pg_catalog.~) 'pg_catalog'
        and pg_catalog.btrim(part, '"') operator(pg_catalog.<>) 'pg_catalog'
        and coalesce(:process operator(pg_catalog.=) pg_catalog.pg_backend_pid(), true)
)
select
    pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
    (
        select pg_catalog.json_object_agg(wanted.key, now.value)
            filter (where now.value operator(pg_catalog.<>) wanted.former)::pg_catalog.text
        from wanted, lateral pg_catalog.set_config(wanted.key, wanted.value, false) as now (value)
        where wanted.former is not null and wanted.value is not null
    )
