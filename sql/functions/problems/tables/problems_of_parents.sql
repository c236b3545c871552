-- jobhooks.problems_of_parents(): parents of watched tables whose hooks get no changes of these tables.
create or replace function jobhooks.problems_of_parents()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    select
        'error', jobhooks.table_name(child.relation),
        format(
            'its changes are updates of %s no more: %s', found.parent_name, coalesce(found.unwatched, found.flaw)
        ),
        case when found.unwatched is null then 'name other columns: ' else format('jobhooks table watch %s, or without it: ', found.parent_name) end
        || jobhooks.watch_command(child.id)
    from jobhooks.content_type_parent as known
    join jobhooks.content_type as child on child.id = known.content_type_id
    join jobhooks.content_type as parent on parent.id = known.parent_id
    cross join lateral (
        select
            coalesce(jobhooks.table_name(parent.relation), parent.name) as parent_name,
            case
                when jobhooks.table_name(parent.relation) is null then 'that was dropped'
                when not parent.watched then 'that is not watched'
            end as unwatched,
            jobhooks.flaw_of_parent(child.id, parent.id, known.columns) as flaw
    ) as found
    where known.active and child.watched and jobhooks.table_name(child.relation) is not null
        and coalesce(found.unwatched, found.flaw) is not null
$$;

comment on function jobhooks.problems_of_parents() is
'Parents of watched tables whose hooks get no changes of these tables';
