-- Hooks and jobs, as the command line shows and changes them, and who did.

-- name: hooks
select
    hook.settings::text, hook.runs, hook.loaded, hook.why_not, hook.condition_state, hook.condition_failures,
    hook.condition_error, hook.data_state, hook.data_error, rate.keys, rate.next_at, hook.chain_ends, hook.chain_end_change_id
from jobhooks.hooks as hook
cross join lateral jobhooks.rate_waits(hook.id) as rate
order by hook.priority desc, hook.name

-- name: hook_shown
select
    hook.settings::text, hook.runs, hook.loaded, hook.why_not, hook.condition_state, hook.condition_failures,
    hook.condition_error, hook.data_state, hook.data_error, rate.keys, rate.next_at, hook.chain_ends, hook.chain_end_change_id
from jobhooks.hooks as hook
cross join lateral jobhooks.rate_waits(hook.id) as rate
where hook.name = :name

-- name: deliveries_of_hook
select delivery.state, count(*)
from jobhooks.delivery_states(array(select id from jobhooks.job_hook where name = :name)) as delivery
group by delivery.state
order by delivery.state

-- name: save_hook
-- Adds a hook where :name is null. :compiled is the text of the conditions that were compiled; null: they do not change. :data are those
-- that the receiver of :job has taken; null: it has not seen them.
with saved as (select jobhooks.save_hook(:name, :settings::text::jsonb) as id)
select
    saved.id,
    case when :compiled::text is not null then jobhooks.note_condition_verdicts(
        json_build_array(json_build_object('hook_id', saved.id, 'conditions', :compiled::text))
    ) end,
    case when :data::text is not null then jobhooks.note_data_verdicts(
        json_build_array(json_build_object('hook_id', saved.id, 'job', :job::text, 'data', :data::text::json))
    ) end
from saved

-- name: hooks_with_conditions
-- Enabled ones. Those that are listed as invalid have a reason already.
select hook.settings::text
from jobhooks.hooks as hook
where hook.enabled and hook.conditions <> '' and hook.condition_state is distinct from 'invalid'
order by hook.name

-- name: logged_columns
select content_type, name, type, kind, excluded from jobhooks.logged_columns(:tables::text [])

-- name: data_schema_of_job
select data_schema::text from jobhooks.job where class_path = :class_path

-- name: enable_hook
select jobhooks.enable_hook(:name, :enabled)

-- name: pause_hook
select jobhooks.pause_hook(:name, :paused)

-- name: delete_hook
select jobhooks.delete_hook(:name)

-- name: lock_hooks
lock table jobhooks.job_hook, jobhooks.job_hook_content_type in share row exclusive mode

-- name: check_now
-- Run the checks that would otherwise run at commit.
set constraints all immediate

-- name: job_shown
-- As it is in force, and as its receiver states it.
select
    job.installed, job.enabled, in_force.loaded, in_force.loaded_from, in_force.version, in_force.package,
    in_force.settings::text, jobhooks.settings_of_job(job, '{}')::text, in_force.overridden, job.data_schema::text
from jobhooks.job as job
join jobhooks.jobs as in_force on in_force.id = job.id
where job.class_path = :class_path

-- name: hooks_of_job
select name, content_types, events, enabled, runs, why_not
from jobhooks.hooks
where job = :class_path
order by priority desc, name

-- name: versions_of_job
select
    jobhooks.version_text(known.version), known.source_hash, known.package, known.first_loaded_at, known.last_loaded_at
from jobhooks.receiver_version as known
join jobhooks.job as job on job.id = known.job_id
where job.class_path = :class_path
order by known.last_loaded_at desc, known.first_loaded_at desc
limit :limit

-- name: set_job
select jobhooks.set_job(:class_path, :settings::text::jsonb)

-- name: reset_job
select jobhooks.reset_job(:class_path, :names)

-- name: configuration_changes
-- The newest changes of a kind of object; if :name is given, of the objects that have or had that name.
select time, user_name, name, action, before, after
from jobhooks.configuration_change as change
where change.kind = :kind
    and (
        :name::text is null
        or change.object_id in (
            select named.object_id from jobhooks.configuration_change as named where named.kind = :kind and named.name = :name::text
        )
    )
order by change.id desc
limit :limit
