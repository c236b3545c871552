-- squawk-ignore-file
set local lock_timeout = '5s';

-- From now on conditions that cannot be right for the tables of a hook are invalid. Those that are here keep running: a verdict of
-- this time counts as none, and tells the program that compiles them to leave the tables out.
insert into jobhooks.condition_verdict as known (hook_id, conditions, error, checked_at)
select hook.id, hook.conditions, null, '-infinity'
from jobhooks.job_hook as hook
left join jobhooks.condition_verdict as verdict on verdict.hook_id = hook.id and verdict.conditions = hook.conditions
where hook.conditions <> '' and verdict.hook_id is null
order by hook.id
on conflict (hook_id) do update
set conditions = excluded.conditions, error = excluded.error, checked_at = excluded.checked_at;

comment on column jobhooks.condition_verdict.error is 'Why it does not compile, or cannot be right for the tables of the hook; null: it can';
comment on column jobhooks.condition_verdict.checked_at is
'When it was compiled; -infinity: not yet, and the hook is older than the comparison with its tables';
