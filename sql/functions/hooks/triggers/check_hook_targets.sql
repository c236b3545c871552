-- jobhooks.check_hook_targets(): the trigger function that refuses hooks in conflict, without a table, or with unknown names.
--
-- Names are those of columns, of the columns that its job is ordered by, and of roles. A name is checked when it is given, or when the
-- tables change. One that disappears later, or that a receiver states, is for the doctor: otherwise such a hook could not be disabled.
--
-- A hook and its tables are rows of two tables, written one after the other, by our functions or directly: so the check runs
-- when the transaction commits. Before that, two hooks may swap their events, for example.
--
-- The race: if two transactions each add half of a conflict, neither sees the other's half before that commits. So each locks
-- the one row of jobhooks.configuration first, and keeps it until commit: the second waits here. In READ COMMITTED, its
-- next query sees the first one's committed rows. In REPEATABLE READ and SERIALIZABLE it keeps its old snapshot; but the
-- first has changed that row before it committed (note_configuration, for each row that this is called for), so the lock
-- is refused: "could not serialize access". Without the lock both would commit. It is the last lock of a transaction, as in
-- note_configuration, so no two wait for one another. Security definer, because a role that may change a hook need not be
-- allowed to lock that row.
create or replace function jobhooks.check_hook_targets()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    -- Of a hook, or of a link to a table, which an update may have moved from one hook to another.
    hook_ids constant integer [] := array(
        select (image ->> tg_argv[0])::integer from unnest(array[to_jsonb(old), to_jsonb(new)]) as image where image is not null
    );
    tables_changed constant boolean := tg_argv[0] <> 'id';
    columns_changed constant boolean := tables_changed or to_jsonb(old) -> 'columns' is distinct from to_jsonb(new) -> 'columns';
    roles_changed constant boolean := to_jsonb(old) -> 'roles' is distinct from to_jsonb(new) -> 'roles';
    job_changed constant boolean := tables_changed or to_jsonb(old) -> 'job_id' is distinct from to_jsonb(new) -> 'job_id';
    rate_changed constant boolean := tables_changed or to_jsonb(old) -> 'rate_per' is distinct from to_jsonb(new) -> 'rate_per';
    hook record;
    conflict record;
    recorded text [];
    unknown text;
begin
    if jobhooks.is_restoring() then
        return null; -- its tables come later
    end if;
    perform from jobhooks.configuration for update;
    -- Those that are still there at the end of the transaction, as they are then.
    for hook in select known.id, known.name from jobhooks.job_hook as known where known.id = any (hook_ids) loop
        if not exists (select from jobhooks.job_hook_content_type as link where link.job_hook_id = hook.id) then
            raise exception 'cannot save hook "%": You must select at least one content type.', hook.name using errcode = 'JH022';
        end if;
        select * into conflict from jobhooks.conflicts_of_hooks(hook.id) limit 1;
        if found then
            raise exception 'cannot save hook "%": the hook "%" runs % for % of % already', hook.name, conflict.other,
                conflict.job, conflict.event, conflict.content_type
            using errcode = 'JH025',
                hint = 'remove this event or table from one of the two hooks, or give them different conditions, columns, roles or data:'
                ' a job runs once for a change';
        end if;
        if columns_changed then
            unknown := jobhooks.unknown_in_words(
                array(select jobhooks.unknown_columns(hook.id)),
                array(select known.name from jobhooks.recorded_columns(hook.id) as known where not known.ignored)
            );
            if unknown is not null then
                raise exception 'cannot save hook "%": none of its tables records a column %', hook.name, unknown
                using errcode = 'JH026', hint = 'a column that is neither excluded nor ignored';
            end if;
        end if;
        recorded := array(select known.name from jobhooks.recorded_columns(hook.id) as known where job_changed or rate_changed);
        if job_changed then
            unknown := jobhooks.unknown_in_words(array(select jobhooks.unknown_ordering(hook.id)), recorded);
            if unknown is not null then
                raise exception 'cannot save hook "%": its job is ordered by a column that none of its tables records: %',
                    hook.name, unknown
                using errcode = 'JH026', hint = 'jobhooks job set JOB order_by=COLUMN, or another table';
            end if;
        end if;
        if rate_changed then
            unknown := jobhooks.unknown_in_words(array(select jobhooks.unknown_rate_keys(hook.id)), recorded);
            if unknown is not null then
                raise exception 'cannot save hook "%": its rate is per column, and not all of its tables record %', hook.name, unknown
                using errcode = 'JH026', hint = 'a column that is not excluded, or object';
            end if;
        end if;
        if roles_changed then
            unknown := jobhooks.unknown_in_words(
                array(select jobhooks.unknown_roles(hook.id)),
                array(select known.rolname::text from pg_roles as known where known.rolcanlogin)
            );
            if unknown is not null then
                raise exception 'cannot save hook "%": there is no role %', hook.name, unknown
                using errcode = 'JH028', hint = 'a role that logs in; psql lists roles with \du';
            end if;
        end if;
    end loop;
    return null;
end
$$;

comment on function jobhooks.check_hook_targets() is
'The trigger function that refuses hooks in conflict, without a table, or with unknown names';

do $$
begin
    if not exists (
        select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'check_hook_targets'
    ) then
        create constraint trigger check_hook_targets
        after insert or update of job_id, events, columns, conditions, roles, rate_per, data on jobhooks.job_hook
        deferrable initially deferred for each row execute function jobhooks.check_hook_targets('id');
    end if;
    -- By itself: a migration drops the other one, to have it created again.
    if not exists (
        select from pg_trigger
        where tgrelid = 'jobhooks.job_hook_content_type'::regclass and tgname = 'check_hook_targets'
    ) then
        create constraint trigger check_hook_targets
        after insert or update or delete on jobhooks.job_hook_content_type
        deferrable initially deferred for each row execute function jobhooks.check_hook_targets('job_hook_id');
    end if;
end
$$;
