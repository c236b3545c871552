-- jobhooks.forget_rate(): the trigger function that deletes the used part of the rate of a hook, when the rate or its keys change.
--
-- The daemon starts such a rate at zero. The used part of the former one would make hook show and a daemon that takes over wait for it,
-- and without a rate nothing would delete it. Deferred to the commit, because the daemon writes the same rows every second. Security
-- definer, because a role that may change a hook need not be allowed to change this.
create or replace function jobhooks.forget_rate()
returns trigger
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    delete from jobhooks.rate_bucket as bucket where bucket.hook_id = new.id;
    return null;
end
$$;

comment on function jobhooks.forget_rate() is
'The trigger function that deletes the used part of the rate of a hook, when the rate or its keys change';

do $$
begin
    if not exists (
        select from pg_trigger where tgrelid = 'jobhooks.job_hook'::regclass and tgname = 'forget_rate'
    ) then
        create constraint trigger forget_rate
        after update on jobhooks.job_hook
        deferrable initially deferred
        for each row when (old.rate <> new.rate or old.rate_per <> new.rate_per)
        execute function jobhooks.forget_rate();
    end if;
end
$$;
