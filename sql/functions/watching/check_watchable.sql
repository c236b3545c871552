-- jobhooks.check_watchable(relation, key_columns, exclude, ignore): raise an error if a table cannot be watched this way.
create or replace function jobhooks.check_watchable(
    relation regclass, key_columns text [], exclude text [], ignore text []
)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    table_name constant text := jobhooks.table_name(relation);
    class constant pg_class := (select c from pg_class as c where c.oid = relation);
    unknown_columns text;
    reason text;
    remedy text;
begin
    select string_agg(name, ', ')
    into unknown_columns
    from unnest(key_columns || exclude || ignore) as name
    where not exists (
        select from pg_attribute
        where attrelid = relation and attname = name and attnum > 0 and not attisdropped
    );
    reason := case
        when class.relnamespace in ('pg_catalog'::regnamespace, 'jobhooks'::regnamespace)
            then 'it belongs to the server or to jobhooks'
        when class.relispartition then 'it is a partition'
        when class.relkind not in ('r', 'p') then 'it is not a table'
        when class.relpersistence = 't' then 'it is a temporary table'
        when unknown_columns is not null then format('it has no column %s', unknown_columns)
        when key_columns is null then 'it has no primary key'
        when key_columns && exclude
            then 'a key column cannot be excluded: without it nobody could tell which row it was'
    end;
    remedy := case reason
        when 'it is a partition' then format('jobhooks table watch %s, which covers all its partitions', (
            select jobhooks.table_name(inhparent) from pg_inherits where inhrelid = relation
        ))
        when 'it has no primary key' then 'name key columns with --key, or watch it with --keyless'
    end;
    if remedy is not null then
        raise exception 'cannot watch %: %', table_name, reason using errcode = 'JH001', hint = remedy;
    end if;
    if reason is not null then
        raise exception 'cannot watch %: %', table_name, reason using errcode = 'JH001';
    end if;
end
$$;

comment on function jobhooks.check_watchable(regclass, text [], text [], text []) is 'Raise an error if a table cannot be watched this way';
