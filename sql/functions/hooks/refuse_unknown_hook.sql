-- jobhooks.refuse_unknown_hook(name): raise the error that there is no hook of this name, with the nearest ones.
create or replace function jobhooks.refuse_unknown_hook(name text)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'there is no hook "%"%', name, jobhooks.did_you_mean(name, array(select hook.name from jobhooks.job_hook as hook))
    using errcode = 'JH029', hint = 'jobhooks hook list';
end
$$;

comment on function jobhooks.refuse_unknown_hook(text) is
'Raise the error that there is no hook of this name, with the nearest ones';
