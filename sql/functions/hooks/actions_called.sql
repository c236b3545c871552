-- jobhooks.actions_called(hook, events): the actions of these names; errors mention the hook being saved.
create or replace function jobhooks.actions_called(hook text, events text [])
returns jobhooks.action []
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown constant text := (
        select string_agg(event, ', ' order by event)
        from unnest(events) as event
        where event <> all (enum_range(null::jobhooks.action)::text[]) or event is null
    );
begin
    if unknown is not null or coalesce(cardinality(events), 0) = 0 then
        raise exception 'cannot save hook "%": %', hook, coalesce('there is no event ' || unknown, 'You must select at least one event.')
        using errcode = 'JH021', hint = 'create, update, delete or truncate';
    end if;
    return array(select distinct event::jobhooks.action from unnest(events) as event order by 1);
end
$$;

comment on function jobhooks.actions_called(text, text []) is
'The actions of these names; errors mention the hook being saved';
