-- jobhooks.depth_of(triggering, context): how deep in a chain a change is, by these columns of jobhooks.object_change.
--
-- 0: an application made it. Else how many runs lie between it and the change of an application: 1 for a write of a run
-- for such a change, 2 for a write of a run for that. Null: no hook with any chain_depth runs for it.
create or replace function jobhooks.depth_of(triggering boolean, context json)
returns integer
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
    select case
        when triggering then 0
        when context ->> 'muted' is not null or context -> 'caused_by' is null then null
        else coalesce((context -> 'caused_by' ->> 'depth')::integer, 1)
    end
$$;

comment on function jobhooks.depth_of(boolean, json) is
'How deep in a chain a change is: 0 if an application made it, null if no hook runs for it';
