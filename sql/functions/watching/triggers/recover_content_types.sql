-- jobhooks.recover_content_types(): make the content types of tables whose triggers came with a dump; returns how many.
--
-- A content type keeps the number in the triggers unless another table has it: then the table gets a new one, and what the
-- triggers have recorded so far counts as changes of the other table. Its triggers count as outdated: jobhooks install watches the
-- table again, which replaces them.
create or replace function jobhooks.recover_content_types()
returns integer
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    restored record;
    count integer := 0;
begin
    for restored in
        select each.*, jobhooks.table_name(each.relation) as name
        from jobhooks.restored_triggers() as each
        -- First those that keep their number.
        order by exists (select from jobhooks.content_type as other where other.id = each.content_type_id), each.content_type_id
    loop
        count := count + 1;
        update jobhooks.content_type as known
        set relation = restored.relation, watched = true, triggers = '{}'
        where known.relation = restored.relation
            or (known.id = restored.content_type_id and known.name = restored.name
                and not exists (select from pg_class where oid = known.relation)
                and not exists (select from jobhooks.content_type as own where own.relation = restored.relation));
        continue when found;
        insert into jobhooks.content_type (id, relation, name, key_columns, always, exclude, ignore, keep_lastval)
        overriding system value
        select
            case
                when exists (select from jobhooks.content_type as other where other.id = restored.content_type_id)
                    then nextval(pg_get_serial_sequence('jobhooks.content_type', 'id'))
                else restored.content_type_id
            end,
            restored.relation, restored.name, restored.key_columns, restored.always, restored.exclude, restored.ignore,
            restored.keep_lastval;
        perform setval(pg_get_serial_sequence('jobhooks.content_type', 'id'), max(id)) from jobhooks.content_type;
    end loop;
    return count;
end
$$;

comment on function jobhooks.recover_content_types() is
'Make the content types of tables whose triggers came with a dump; returns how many';
