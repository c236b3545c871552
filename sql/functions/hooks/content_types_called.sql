-- jobhooks.content_types_called(hook, names): the ids of these watched tables; errors mention the hook being saved.
create or replace function jobhooks.content_types_called(hook text, names text [])
returns integer []
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
    unknown constant text [] := array(
        select content_type
        from unnest(names) as content_type
        where not exists (
            select from jobhooks.content_type as known where known.relation = to_regclass(content_type) and known.watched
        )
        order by content_type
    );
begin
    if cardinality(unknown) > 0 or coalesce(cardinality(names), 0) = 0 then
        raise exception 'cannot save hook "%": %', hook,
            case cardinality(unknown)
                when 0 then 'You must select at least one content type.'
                when 1 then unknown[1] || ' is not a watched table'
                else array_to_string(unknown, ', ') || ' are not watched tables'
            end
        using errcode = 'JH022', hint = 'jobhooks table watch ' || coalesce(unknown[1], 'SCHEMA.TABLE');
    end if;
    return array(
        select known.id
        from jobhooks.content_type as known
        where known.relation in (select to_regclass(content_type) from unnest(names) as content_type)
        order by known.id
    );
end
$$;

comment on function jobhooks.content_types_called(text, text []) is
'The ids of these watched tables; errors mention the hook being saved';
