-- jobhooks.version_text(version): the version of a receiver as people see it: the first 12 digits of the hash of its source.
create or replace function jobhooks.version_text(version bigint)
returns text
language sql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $$
    select lpad(to_hex(version_text.version), 12, '0')
$$;

comment on function jobhooks.version_text(bigint) is
'The version of a receiver as people see it: the first 12 digits of the hash of its source';
