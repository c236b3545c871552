-- jobhooks.watch_instead(relation, former): watch a table instead of another one, with the same options and hooks.
--
-- For a table that was replaced by renaming: hooks follow the former table under its new name. The changes of both are those
-- of one content type, and the former table is no longer watched.
create or replace function jobhooks.watch_instead(relation regclass, former regclass)
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    former_timeout constant text := jobhooks.wait_briefly();
    known constant jobhooks.content_type := (
        select c from jobhooks.content_type as c where c.relation = former and c.watched
    );
begin
    if known.id is null then
        raise exception 'cannot watch % instead of %: that is not watched', jobhooks.table_name(relation),
            jobhooks.table_name(former)
        using errcode = 'JH002';
    end if;
    if exists (select from jobhooks.content_type as c where c.relation = watch_instead.relation) then
        raise exception 'cannot watch % instead of %: it has hooks and changes by itself', jobhooks.table_name(relation),
            jobhooks.table_name(former)
        using errcode = 'JH001', hint = format('jobhooks table watch %s', jobhooks.table_name(relation));
    end if;
    perform jobhooks.drop_triggers(known.id);
    update jobhooks.content_type as c set relation = watch_instead.relation where c.id = known.id;
    perform jobhooks.watch(
        watch_instead.relation, nullif(known.key_columns, '{}'), known.key_columns = '{}', known.always, known.exclude, known.ignore,
        keep_lastval => known.keep_lastval, parents => null
    );
    perform set_config('lock_timeout', former_timeout, true);
    return known.id;
end
$$;

comment on function jobhooks.watch_instead(regclass, regclass) is
'Watch a table instead of another one, with the same options and hooks';
