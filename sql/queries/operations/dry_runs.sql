-- Dry runs, which keep nothing, and runs of a job for a named change.

-- name: settings_of_job
-- Those in force, by the names of class Meta.
select settings::text from jobhooks.jobs where class_path = :class_path

-- name: check_deferred
-- Run the checks and triggers that would otherwise run at commit.
set constraints all immediate

-- name: become_oneself
-- Undo the receiver's change of role.
reset session authorization;
reset role

-- name: mark_in_force
select current_setting('jobhooks.delivery', true)

-- name: changes_of_this_transaction
select id from jobhooks.object_change where transaction_id = pg_current_xact_id_if_assigned() order by id

-- name: hooks_for_change
-- The hooks of a job that are for the table and the action of a change, or for updates of a parent of that table.
select hook.name
from jobhooks.job_hook as hook
join jobhooks.job as job on job.id = hook.job_id
join jobhooks.object_change as change on change.id = :change_id
where job.class_path = :class_path
    and (
        change.action = any (hook.events)
        and change.content_type_id in (
            select link.content_type_id from jobhooks.job_hook_content_type as link where link.job_hook_id = hook.id
        )
        or change.action <> 'truncate' and change.content_type_id = any (jobhooks.children_of_hook(hook.id))
    )
order by hook.name
