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
            select from jobhooks.content_type as known
            where known.relation = jobhooks.relation_called(content_type) and known.watched
        )
        order by content_type
    );
    remedy text := 'jobhooks table list';
    problem text;
    nearest text;
begin
    if coalesce(cardinality(names), 0) = 0 then
        problem := 'You must select at least one content type.';
    elsif cardinality(unknown) > 1 then
        problem := array_to_string(unknown, ', ') || ' are not watched tables';
    elsif cardinality(unknown) = 1 then
        problem := unknown[1] || ' is not a watched table';
        nearest := jobhooks.table_name(jobhooks.relation_called(unknown[1]));
        if nearest is null then
            problem := problem || jobhooks.did_you_mean(unknown[1], array(select jobhooks.names_of_tables()));
            nearest := (jobhooks.nearest_names(unknown[1], array(select jobhooks.names_of_tables())))[1];
        end if;
        if nearest is not null and not exists (
            select from jobhooks.content_type as known
            where known.relation = jobhooks.relation_called(nearest) and known.watched
        ) then
            remedy := 'jobhooks table watch ' || case when nearest like '%"%' then quote_literal(nearest) else nearest end;
        end if;
    end if;
    if problem is not null then
        raise exception 'cannot save hook "%": %', hook, problem using errcode = 'JH022', hint = remedy;
    end if;
    return array(
        select known.id
        from jobhooks.content_type as known
        where known.relation in (select jobhooks.relation_called(content_type) from unnest(names) as content_type)
        order by known.id
    );
end
$$;

comment on function jobhooks.content_types_called(text, text []) is
'The ids of these watched tables; errors mention the hook being saved';
