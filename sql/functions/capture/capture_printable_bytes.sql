-- jobhooks_capture.printable_bytes(value): the first 1,000 bytes of what need be no text, each that is no ASCII as \ooo, as in bytea.
--
-- Nothing but bytes is looked at, since functions of text fail on what is none.
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
'The first 1,000 bytes of what need be no text, each that is no ASCII as \ooo, as in bytea';
