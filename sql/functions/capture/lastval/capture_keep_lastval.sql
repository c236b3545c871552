-- jobhooks_capture.keep_lastval(former, result): make lastval() what it was before a row was captured; returns the result.
--
-- former: of former_lastval, which is evaluated before the capture. Nothing makes a session's lastval() that of another sequence
-- but nextval(), so it becomes that of a sequence of jobhooks, which setval() gives the former value in this session. If lastval()
-- was undefined, only DISCARD makes it so again; it also forgets currval() of sequences that had only setval(). If the writing role
-- may not read it, it fails as before. Security definer: its owner may set that sequence. Every name is qualified, as in
-- record_change, and one expression does the work: a query would cost a third of it again.
create or replace function jobhooks_capture.keep_lastval(former numeric, result boolean)
returns boolean
language plpgsql
security definer
as $$
begin
    if former operator(pg_catalog.<>) 'NaN' then
        return case when pg_catalog.nextval('jobhooks_capture.kept_lastval') is not null then
            case when pg_catalog.setval('jobhooks_capture.kept_lastval', former::pg_catalog.int8) is not null then result end
        end;
    elsif former is not null then
        discard sequences;
    end if;
    return result;
end
$$;

comment on function jobhooks_capture.keep_lastval(numeric, boolean) is
'Make lastval() what it was before a row was captured; returns the result';
