-- jobhooks.refuse_unknown_job(class_path): raise the error that there is no job of this class path, with the nearest ones.
create or replace function jobhooks.refuse_unknown_job(class_path text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'there is no job %', class_path || jobhooks.did_you_mean(
        class_path, array(select known.class_path from jobhooks.job as known)
    )
    using errcode = 'JH020', hint = 'jobhooks job list';
end
$$;

comment on function jobhooks.refuse_unknown_job(text) is
'Raise the error that there is no job of this class path, with the nearest ones';
