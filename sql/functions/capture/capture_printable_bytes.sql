-- jobhooks_capture.printable_bytes(value): the first 1,000 bytes of any value, non-ASCII ones as \ooo, as in bytea.
--
-- It handles bytes only, because text functions fail on bytes that are not text.
create or replace function jobhooks_capture.printable_bytes(value text)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
begin
    return encode(substring(decode(replace(value, '\', '\\'), 'escape') for 1000), 'escape');
exception when others then
    return 'what is no text';
end
$$;

comment on function jobhooks_capture.printable_bytes(text) is
'The first 1,000 bytes of any value, non-ASCII ones as \ooo, as in bytea';
