-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- A captured row draws a number from the log's sequence, which lastval() then belongs to. A table can be watched so that lastval()
-- stays as it was.
alter table jobhooks.content_type add column keep_lastval boolean not null default false;
comment on column jobhooks.content_type.keep_lastval is 'A captured row leaves lastval() of its session as it was';

-- The sequence that lastval() belongs to after such a row. Its value is that of the last such row in any session: only the value
-- that a session has set by itself counts. Any role may read it, as the role of an application asks for lastval().
do $$
begin
    execute format(
        'create %s sequence jobhooks_capture.kept_lastval as bigint minvalue -9223372036854775808 start 1 cycle',
        -- Without WAL, which needs PostgreSQL 15.
        case when current_setting('server_version_num')::integer >= 150000 then 'unlogged' else '' end
    );
end
$$;
comment on sequence jobhooks_capture.kept_lastval is 'What lastval() reads after a row of a table that is watched with keep_lastval';

-- It has a further parameter. Beside its former self, calls without it would be ambiguous.
drop function if exists jobhooks.watch(regclass, text [], boolean, boolean, text [], text [], boolean);
