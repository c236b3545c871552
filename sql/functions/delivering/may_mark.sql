-- jobhooks.may_mark(): whether this session's role may mark its writes as a receiver's.
--
-- Membership of jobhooks_receiver; where the installer could not create that role, of the role that owns the schema.
-- Security definer, so that current_user is that owner.
create or replace function jobhooks.may_mark()
returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
    select case
        when to_regrole('jobhooks_receiver') is null then pg_has_role(session_user, current_user, 'member')
        else pg_has_role(session_user, 'jobhooks_receiver', 'member')
    end
$$;

comment on function jobhooks.may_mark() is 'Whether this session''s role may mark its writes as a receiver''s';
