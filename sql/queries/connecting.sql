-- Preparing a session for jobhooks, right after connecting. All names are qualified: the search_path may be anybody's.

-- name: set_up_session
-- The session's process id, and whether the server is a replica. The settings are made only in the session of :process,
-- which a pooler may not give; null: in any. Settings that this version does not have are left out. In the search_path,
-- pg_catalog is first.
select
    pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery(),
    (
        select pg_catalog.count(pg_catalog.set_config(wanted.key, wanted.value, false))
        from pg_catalog.json_each_text(:settings::pg_catalog.text::pg_catalog.json) as wanted
        where pg_catalog.current_setting(wanted.key, true) is not null
            and coalesce(:process operator(pg_catalog.=) pg_catalog.pg_backend_pid(), true)
    ),
    (
        select pg_catalog.set_config('search_path', pg_catalog.string_agg(part, ', ' order by place using operator(pg_catalog.<)), false)
        from pg_catalog.regexp_split_to_table(pg_catalog.current_setting('search_path'), '[[:space:]]*,[[:space:]]*')
            with ordinality as path (part, place)
        where pg_catalog.current_setting('search_path') operator(pg_catalog.~) 'pg_catalog'
            and pg_catalog.btrim(part, '"') operator(pg_catalog.<>) 'pg_catalog'
            and coalesce(:process operator(pg_catalog.=) pg_catalog.pg_backend_pid(), true)
    )
