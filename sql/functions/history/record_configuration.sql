-- jobhooks.record_configuration(kind, key): the trigger function that records who changed which hook or job, and how.
--
-- A hook and its tables are rows of two tables: it records their common state at commit, if that differs from the last entry.
-- So a transaction leaves one row for a hook, or no row if the state is the same at the end. (A transaction that sets its
-- constraints immediate leaves one per statement.) The configuration's row is locked first, as in check_hook_targets, so the
-- state before is the one the previous transaction left. A table's name is the current one: a renamed table appears with
-- the hook's next change. Security definer, because no role may write here directly.
create or replace function jobhooks.record_configuration()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    what constant text := tg_argv[0];
    object_ids constant integer [] := array(
        select distinct (image ->> tg_argv[1])::integer
        from unnest(array[to_jsonb(old), to_jsonb(new)]) as image
        where image is not null
    );
    its_id integer;
    before json;
    after json;
    who text;
begin
    if jobhooks.is_restoring() then
        return null; -- the history comes with the dump
    end if;
    begin
        who := left(current_setting('jobhooks.user_name', true), 1000);
        -- This fails for bytes that are not text, which a session can set.
        perform convert_to(who, 'UTF8');
    exception when others then
        who := jobhooks_capture.printable_bytes(current_setting('jobhooks.user_name', true));
    end;
    perform from jobhooks.configuration for update;
    foreach its_id in array object_ids loop
        before := (
            select change.after
            from jobhooks.configuration_change as change
            where change.kind = what and change.object_id = its_id
            order by change.id desc
            limit 1
        );
        after := case what
            when 'hook' then jobhooks.configuration_of_hook(its_id)
            else jobhooks.configuration_of_job(its_id)
        end;
        if before::jsonb is distinct from after::jsonb then
            insert into jobhooks.configuration_change (kind, object_id, name, action, user_name, before, after)
            values (
                what, its_id,
                coalesce(after, before) ->> case what when 'hook' then 'name' else 'class_path' end,
                case when before is null then 'create' when after is null then 'delete' else 'update' end,
                coalesce(nullif(who, ''), session_user),
                before, after
            );
        end if;
    end loop;
    return null;
end
$$;

comment on function jobhooks.record_configuration() is
'The trigger function that records who changed which hook or job, and how';

do $$
declare
    recorded record;
begin
    for recorded in
        select *
        from (values
            ('jobhooks.job'::regclass, 'job', 'id'),
            ('jobhooks.job_hook', 'hook', 'id'),
            ('jobhooks.job_hook_content_type', 'hook', 'job_hook_id')
        ) as known (relation, kind, key)
        where not exists (
            select from pg_trigger where tgrelid = known.relation and tgname = 'record_configuration'
        )
    loop
        execute format(
            'create constraint trigger record_configuration after insert or update or delete on %s
            deferrable initially deferred for each row execute function jobhooks.record_configuration(%L, %L)',
            recorded.relation, recorded.kind, recorded.key);
    end loop;
end
$$;
