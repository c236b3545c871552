-- jobhooks.delete_job(class_path): delete a job that is not installed, with its overrides. Its results and its history stay.
--
-- The row is locked first: a hook that another transaction is adding on it is seen once that has committed.
create or replace function jobhooks.delete_job(class_path text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    known jobhooks.job;
    hooks text [];
begin
    select job.* into known from jobhooks.job as job where job.class_path = delete_job.class_path for update;
    if not found then
        perform jobhooks.refuse_unknown_job(class_path);
    end if;
    if known.installed then
        raise exception 'cannot delete job %: it is installed, so a daemon would record it again', class_path
        using errcode = 'JH032', hint = format(
            'remove its receiver while a daemon runs, and delete the job then; or jobhooks job disable %s', class_path
        );
    end if;
    hooks := array(select hook.name from jobhooks.job_hook as hook where hook.job_id = known.id order by hook.name);
    if cardinality(hooks) > 0 then
        raise exception 'cannot delete job %: hooks use it: %', class_path,
            (select string_agg(format('"%s"', name), ', ') from unnest(hooks) as name)
        using errcode = 'JH032', hint = format(
            'jobhooks hook delete ''%1$s'', or jobhooks hook edit ''%1$s'' --job JOB', replace(hooks[1], '''', '''\''''')
        );
    end if;
    delete from jobhooks.job as job where job.id = known.id;
end
$$;

comment on function jobhooks.delete_job(text) is
'Delete a job that is not installed, with its overrides. Its results and its history stay';
