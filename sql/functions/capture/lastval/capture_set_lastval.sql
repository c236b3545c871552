-- jobhooks_capture.set_lastval(former, result): make lastval() what lastval_to_keep found; returns the result.
--
-- As keep_lastval, for tables that are watched without an option: it needs no DISCARD, as lastval_to_keep never finds it undefined.
create or replace function jobhooks_capture.set_lastval(former bigint, result boolean)
returns boolean
language plpgsql
security definer
as $$
begin
    return case
        when former is null then result
        when pg_catalog.nextval('jobhooks_capture.kept_lastval') is not null
            then case when pg_catalog.setval('jobhooks_capture.kept_lastval', former) is not null then result end
    end;
end
$$;

comment on function jobhooks_capture.set_lastval(bigint, boolean) is 'Make lastval() what lastval_to_keep found; returns the result';
