-- jobhooks_capture.differs(before, after, ignored): whether two rows differ in a column that is not ignored.
--
-- ignored: a json object of the ignored columns, all null, which makes them equal in both rows. It compares by image, like
-- the triggers of other tables. A domain may refuse the null: then the ignored columns of the second row get the values of
-- the first. If that also fails, the rows count as different: better one change too many. Runs as the writing role.
create or replace function jobhooks_capture.differs(before record, after record, ignored json)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
begin
    return json_populate_record(before, ignored) *<> json_populate_record(after, ignored);
exception when others then
    begin
        return before *<> json_populate_record(after, (
            select json_object_agg(name, value)
            from json_each(row_to_json(before)) as columns (name, value)
            where ignored -> name is not null
        ));
    exception when others then
        return true;
    end;
end
$$;

comment on function jobhooks_capture.differs(record, record, json) is
'Whether two rows differ in a column that is not ignored';
