-- jobhooks.check_parent(content_type_id, name, parent, columns): raise an error if these columns cannot identify the rows of a parent.
create or replace function jobhooks.check_parent(content_type_id integer, name text, parent regclass, columns text [])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    child constant text := (
        select jobhooks.table_name(known.relation) from jobhooks.content_type as known where known.id = check_parent.content_type_id
    );
    own_id constant integer := (select id from jobhooks.content_type where relation = check_parent.parent and watched);
    parent_name constant text := coalesce(jobhooks.table_name(check_parent.parent), check_parent.name);
    reason constant text := case
        when jobhooks.table_name(check_parent.parent) is null then 'there is no such table'
        when own_id = check_parent.content_type_id then 'it is the table itself'
        when own_id is null then 'that is not watched'
        when check_parent.columns is null then 'not exactly one foreign key leads to its key, so its columns must be named'
        else jobhooks.flaw_of_parent(check_parent.content_type_id, own_id, check_parent.columns)
    end;
begin
    if reason is not null then
        raise exception 'cannot watch % with the parent %: %', child, parent_name, reason
        using errcode = 'JH001', hint = case
            when jobhooks.table_name(check_parent.parent) is null then 'jobhooks table list'
            when own_id is null then 'jobhooks table watch ' || parent_name
            else format('jobhooks table watch %s --parent %s=COLUMN[,COLUMN...]', child, parent_name)
        end;
    end if;
end
$$;

comment on function jobhooks.check_parent(integer, text, regclass, text []) is
'Raise an error if these columns cannot identify the rows of a parent';
