-- jobhooks.check_hook(): the trigger function that refuses a hook without an event, unfit settings, and enabling one on a job that is
-- off.
--
-- Data are passed to each run, so they are bounded. The last check applies when a hook is enabled or assigned to another job. A job may
-- be disabled, or disappear, with hooks on it: they stay enabled, run nothing, and show the reason in jobhooks.hooks. So if one
-- transaction enables the hook and another disables its job concurrently, the result is the same as if they ran one after the other.
create or replace function jobhooks.check_hook()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    job constant jobhooks.job := (select known from jobhooks.job as known where known.id = new.job_id);
begin
    if jobhooks.is_restoring() then
        return new; -- with an enabled hook on a job that was off
    end if;
    if length(new.name) not between 1 and 255 then
        raise exception 'cannot save a hook whose name has % characters: it takes 1 to 255', length(new.name)
        using errcode = 'JH024';
    end if;
    if cardinality(new.events) = 0 then
        raise exception 'cannot save hook "%": You must select at least one event.', new.name using errcode = 'JH021';
    end if;
    if new.debounce_s is not null and new.coalesce_s <> -1 then
        raise exception 'cannot save hook "%": it has both coalesce and debounce, which are two ways of merging changes', new.name
        using errcode = 'JH028', hint = '--coalesce none, or --debounce none';
    end if;
    if new.longest_wait_s is not null and new.debounce_s is null then
        raise exception 'cannot save hook "%": it has a longest wait and no debounce', new.name
        using errcode = 'JH028', hint = 'add --debounce, or --longest-wait none';
    end if;
    if new.longest_wait_s < new.debounce_s then
        raise exception 'cannot save hook "%": its longest wait of % s is shorter than its debounce of % s',
            new.name, new.longest_wait_s, new.debounce_s
        using errcode = 'JH028', hint = 'a longer --longest-wait, or a shorter --debounce';
    end if;
    if new.rate !~ '^([1-9][0-9]{0,5}/(s|min|h|day))?$' then
        raise exception 'cannot save hook "%": % is not a rate', new.name, left(new.rate, 100)
        using errcode = 'JH028', hint = 'a number from 1 to 999999 per s, min, h or day, such as 30/min';
    end if;
    if new.rate = '' and cardinality(new.rate_per) > 0 then
        raise exception 'cannot save hook "%": it has keys for a rate and no rate', new.name
        using errcode = 'JH028', hint = 'add --rate, or --rate-per ""';
    end if;
    if new.chain_depth not between 0 and 10 then
        raise exception 'cannot save hook "%": its chain_depth is %, and goes from 0 to 10', new.name, new.chain_depth
        using errcode = 'JH028', hint = 'a number of runs such as 1; 0: it runs for no change that a receiver wrote';
    end if;
    if jsonb_typeof(new.data) <> 'object' then
        raise exception 'cannot save hook "%": its data are no JSON object', new.name
        using errcode = 'JH028', hint = 'an object such as {"channel": "ops"}';
    end if;
    if octet_length(new.data::text) > 10000 then
        raise exception 'cannot save hook "%": its data have % bytes as JSON; the limit is 10,000', new.name,
            octet_length(new.data::text)
        using errcode = 'JH028', hint = 'a table for the data, and its key here';
    end if;
    -- A program could not read these, not even to show them.
    if jsonb_path_exists(new.data, 'strict $.**{32}')
        or jsonb_path_exists(new.data, 'strict $.** ? (@.type() == "number" && (@ > 1e308 || @ < -1e308))') then
        raise exception 'cannot save hook "%": its data are nested 32 levels deep, or have a number beyond 1e308', new.name
        using errcode = 'JH028', hint = 'simpler data';
    end if;
    if new.enabled
        and (tg_op = 'INSERT' or not old.enabled or old.job_id <> new.job_id)
        and not (job.enabled and (job.installed or not jobhooks.has_loaded())) then
        raise exception 'cannot enable hook "%": its job % is not %', new.name, job.class_path,
            case when job.enabled then 'installed, since the daemon has not loaded its receiver' else 'enabled' end
        using errcode = 'JH027', hint = case tg_op when 'INSERT' then 'add the hook without enabling it, or ' else '' end || case
            when not job.enabled then format('jobhooks job enable %s', job.class_path)
            else 'put the receiver back into a directory that the daemon reads'
        end;
    end if;
    return new;
end
$$;

create or replace trigger check_hook
before insert or update on jobhooks.job_hook
for each row
execute function jobhooks.check_hook();

comment on function jobhooks.check_hook() is
'The trigger function that refuses a hook without an event, unfit settings, and enabling one on a job that is off';
