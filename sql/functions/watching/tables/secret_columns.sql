-- jobhooks.secret_columns(relation): the columns whose names look like those of secrets, in the table's order.
--
-- Only of types that can hold one: no flag, number or time such as password_changed_at. Watched, they enter the log unless
-- they are excluded.
create or replace function jobhooks.secret_columns(relation regclass)
returns text []
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(attribute.attname::text order by attribute.attnum), '{}')
    from pg_attribute as attribute
    join pg_type as type on type.oid = attribute.atttypid
    left join pg_type as base on base.oid = nullif(type.typbasetype, 0)
    left join pg_type as element on element.oid = nullif(type.typelem, 0) and type.typcategory = 'A'
    where attribute.attrelid = secret_columns.relation and attribute.attnum > 0 and not attribute.attisdropped
        -- Strings, citext included, and what can hold strings.
        and (
            coalesce(base.typcategory, element.typcategory, type.typcategory) = 'S'
            or coalesce(base.oid, element.oid, type.oid) in ('bytea'::regtype, 'json'::regtype, 'jsonb'::regtype, 'uuid'::regtype)
            or coalesce(base.typname, element.typname, type.typname) = 'hstore'
        )
        and attribute.attname ~* concat(
            '(^|_)(passwords?|passwd|passphrase|passcode|pwd|pass|pin_?code|secrets?|tokens?|credentials?|otp|totp|mfa|salt',
            '|ssn|cvv|cvc|iban|card_?number|apikeys?|session_?(id|key)|jwt|bearer|cookie)(_?(hash|hashed|digest|value',
            '|encrypted|enc|data|text|\d+))?$',
            '|password|passwd|passphrase|secret(?!ar)|credential|security_?answer',
            '|(api|private|access|auth|encryption|signing|license)_?key',
            '|(access|api|auth|bearer|csrf|device|id|refresh|reset|session|user)_?tokens?(_?(hash|digest))?$'
        )
$$;

comment on function jobhooks.secret_columns(regclass) is
'The columns whose names look like those of secrets, in the table''s order';
