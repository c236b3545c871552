-- jobhooks_capture.lastval_to_keep(relation, setting): lastval() before an inserted row is captured, for a table that a sequence fills;
-- 0 if it is undefined, null if it stays an error.
--
-- Runs as the writing role, and never fails. An error costs as much as capturing half a row, so it must not repeat for each row. If
-- lastval() is undefined, set_lastval makes it 0, as MySQL returns without a number, and the next row can read it. If the role may not
-- read the sequence that fills the table (as with INSERT alone on an identity column), each row would be such an error. So the setting
-- notes that sequence for the session, and later rows ask first whether the role may read it. An application can change the setting,
-- which affects its own lastval() alone. Every name is qualified, as a "set" clause would double the cost.
create or replace function jobhooks_capture.lastval_to_keep(relation oid, setting text)
returns bigint
language plpgsql
as $$
declare
    noted constant pg_catalog.text := pg_catalog.current_setting(setting, true);
    sequence pg_catalog.oid;
begin
    if noted operator(pg_catalog.<>) '' then
        if pg_catalog.has_sequence_privilege(noted::pg_catalog.oid, 'usage, select') is false then
            return null;
        end if;
        -- plpgsql evaluates an expression that has failed the slow way until the transaction ends. So this is another one.
        return pg_catalog.lastval();
    end if;
    return pg_catalog.lastval();
exception
    when object_not_in_prerequisite_state then
        perform pg_catalog.set_config(setting, '0', true);
        return 0;
    when others then
        begin
            -- The last column's, as defaults are computed in the order of columns.
            select filling.oid into sequence
            from pg_catalog.pg_class as filling
            join (
                select dependency.objid as oid, dependency.refobjid as relation, dependency.refobjsubid as position
                from pg_catalog.pg_depend as dependency
                where dependency.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    and dependency.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
                    and dependency.deptype operator(pg_catalog.=) 'i'
                union all
                select dependency.refobjid, expression.adrelid, expression.adnum
                from pg_catalog.pg_attrdef as expression
                join pg_catalog.pg_depend as dependency on dependency.objid operator(pg_catalog.=) expression.oid
                where dependency.classid operator(pg_catalog.=) 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                    and dependency.refclassid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
            ) as found on found.oid operator(pg_catalog.=) filling.oid
            where filling.relkind operator(pg_catalog.=) 'S'
                and found.relation operator(pg_catalog.=) any (
                    array(select pg_catalog.pg_partition_ancestors(lastval_to_keep.relation))
                    operator(pg_catalog.||) lastval_to_keep.relation::pg_catalog.regclass
                )
            order by found.position desc
            limit 1;
            if pg_catalog.has_sequence_privilege(sequence, 'usage, select') is not false then
                perform pg_catalog.set_config(setting, '0', true);
                return 0;
            end if;
            perform pg_catalog.set_config(setting, sequence::pg_catalog.text, false);
            return null;
        exception when others then
            return null;
        end;
end
$$;

comment on function jobhooks_capture.lastval_to_keep(oid, text) is
'lastval() before an inserted row is captured; 0 if it is undefined, null if it stays an error';
