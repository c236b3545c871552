-- jobhooks.is_same_place(recorded, configured): whether two places are one: {environment, hosts: [{host, port}], database}.
--
-- If both have the name of an environment, that decides: addresses may change. Otherwise the database and one of the hosts must
-- be the same: a list of hosts for a failover may get longer, shorter, or another order. A host may be named with its domain or
-- without.
create or replace function jobhooks.is_same_place(recorded json, configured json)
returns boolean
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when recorded is null or configured is null then true
        when recorded ->> 'environment' <> '' and configured ->> 'environment' <> ''
            then recorded ->> 'environment' = configured ->> 'environment'
        else recorded ->> 'database' = configured ->> 'database' and exists (
            select
            from json_to_recordset(recorded -> 'hosts') as one (host text, port integer)
            join json_to_recordset(configured -> 'hosts') as other (host text, port integer)
                on other.port = one.port and (
                    other.host = one.host or starts_with(other.host, one.host || '.') or starts_with(one.host, other.host || '.')
                )
        )
    end
$$;

comment on function jobhooks.is_same_place(json, json) is 'Whether two places are one';
