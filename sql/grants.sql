-- Who may do what. Applied after the functions, at every installation.

-- The role whose members' writes may carry a receiver's mark. Roles belong to the whole cluster, so it may be there
-- already, or be created by another database's installation at this moment. An installer who may not create roles
-- goes without: then the members of the schema's owner may mark.
do $$
begin
    if to_regrole('jobhooks_receiver') is null then
        create role jobhooks_receiver nologin;
    end if;
    if not pg_has_role(current_user, 'jobhooks_receiver', 'member') then
        execute format('grant jobhooks_receiver to %I', current_user);
    end if;
exception
    when duplicate_object or unique_violation then null;
    when insufficient_privilege then null;
end
$$;

-- An application needs no privilege here: the capture function runs as its owner.
revoke all on schema jobhooks from public;
revoke all on all tables in schema jobhooks from public;
revoke all on all sequences in schema jobhooks from public;
revoke all on all functions in schema jobhooks from public;
