-- jobhooks.watch_as_before(relation): watch a table that is not watched; returns whether it did.
--
-- For deployments, which repeat it: a table that is watched stays as it is, with the columns that it excludes. A table that
-- was watched earlier, or one that replaces such a table under its name, is watched with the options of then: columns that
-- were kept out of the log stay out. So it fails if one of these columns is gone. It also creates triggers that are missing.
create or replace function jobhooks.watch_as_before(relation regclass)
returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former constant jobhooks.content_type := (
        select known
        from jobhooks.content_type as known
        where known.relation = watch_as_before.relation or known.name = jobhooks.table_name(watch_as_before.relation)
        order by known.relation = watch_as_before.relation desc, known.id desc
        limit 1
    );
begin
    if former.watched and former.relation = watch_as_before.relation and not exists (
        select from jobhooks.live_triggers() as live where live.content_type_id = former.id and live.state = 'missing'
    ) then
        return false;
    end if;
    perform jobhooks.watch(
        watch_as_before.relation,
        -- The key of then, unless it was the primary key, which may be another one now.
        case when former.relation = watch_as_before.relation then nullif(former.key_columns, '{}') end,
        coalesce(former.key_columns = '{}', false), coalesce(former.always, false),
        coalesce(former.exclude, '{}'), coalesce(former.ignore, '{}'), keep_lastval => former.keep_lastval, parents => null
    );
    return true;
end
$$;

comment on function jobhooks.watch_as_before(regclass) is
'Watch a table that is not watched, with the options of an earlier time; returns whether it did';
