-- Comments on columns and tables that people read in psql (\d+), except those of migrations. Applied after the views, at every
-- installation; only those that differ, because a comment waits for a VACUUM of the table.
do $$
declare
    said record;
begin
    for said in
        select known.*
        from (values
            ('content_type', 'id', 'The number of the table in changes, hooks and deliveries'),
            ('content_type', 'watched', 'False after jobhooks.unwatch: its changes are no longer captured'),
            ('content_type', 'created_at', 'When it was first watched'),
            ('object_change', 'id', 'Rises in the order in which the rows were written; numbers can be missing'),
            ('object_change', 'time', 'When the row was written, which may be long before its transaction committed'),
            ('object_change', 'content_type_id', 'Which table: jobhooks.content_type'),
            ('object_change', 'action', 'create, update, delete; or truncate, of the whole table'),
            ('job', 'id', 'Its number in hooks and results'),
            ('job', 'installed', 'Whether the daemon finds the receiver'),
            ('job', 'enabled', 'Whether it may run: jobhooks job enable'),
            ('job', 'created_at', 'When the receiver was first found'),
            ('job_hook', 'id', 'Its number in deliveries and results'),
            ('job_hook', 'name', 'Its name for people and commands'),
            ('job_hook', 'description', 'Its purpose'),
            ('job_hook', 'job_id', 'The job that it runs: jobhooks.job'),
            ('job_hook', 'events', 'The actions for which it runs'),
            ('job_hook', 'enabled', 'Whether changes lead to runs; the job must also be enabled'),
            ('job_hook', 'created_at', 'When it was added'),
            ('job_result', 'change_id', 'The delivered change: jobhooks.object_change, until retention drops it'),
            ('job_result', 'hook_id', 'The hook, which may have been deleted since'),
            ('job_result', 'job_id', 'The job that ran'),
            ('job_result', 'attempt', 'Counts the attempts at this delivery from 1'),
            ('job_result', 'started_at', 'When the receiver was called'),
            ('job_result', 'finished_at', 'When it had returned, or failed'),
            ('job_result', 'error', 'Why it failed or was discarded; null on success'),
            ('job_result', 'traceback', 'Where in the receiver it failed'),
            ('job_log_entry', 'change_id', 'With hook and attempt: the result, in jobhooks.job_result, that it belongs to'),
            ('job_log_entry', 'hook_id', 'See change_id'),
            ('job_log_entry', 'attempt', 'See change_id'),
            ('job_log_entry', 'line', 'Counts the lines of the attempt from 1; those of earlier runs that a daemon did not end are negative'),
            ('job_log_entry', 'level', 'debug, info, success, warning, failure, error or critical'),
            ('job_log_entry', 'time', 'When it was logged'),
            ('job_log_entry', 'message', 'The text that the receiver logged'),
            ('delivery', 'change_id', 'The change to deliver: jobhooks.object_change'),
            ('delivery', 'hook_id', 'The hook, which may have been deleted since'),
            ('delivery', 'content_type_id', 'The table of the change'),
            ('delivery', 'due_at', 'When it will be attempted; null unless it is waiting'),
            ('delivery', 'parked_at', 'When it entered the backlog'),
            ('changes', 'id', 'Rises in the order in which the rows were written'),
            ('changes', 'time', 'When the row was written'),
            ('changes', 'table_name', 'The table''s name now, or when it was last watched'),
            ('changes', 'action', 'create, update, delete or truncate'),
            ('changes', 'user_name', 'The user that the application named, else the role that connected'),
            ('changes', 'request_id', 'The request that the application named'),
            ('changes', 'triggering', 'False for a write of a receiver: no hook runs for it'),
            ('changes', 'object_key', 'The key of the row as it is now'),
            ('changes', 'removed', 'Of an update the former values of the columns that differ; of a delete the row'),
            ('changes', 'added', 'Of an update the new values of the columns that differ; of a create the row'),
            ('changes', 'context', 'Further facts: see jobhooks.object_change'),
            ('changes', 'transaction_id', 'The top-level transaction that made the change'),
            ('changes', 'message', 'What the application said of the change, beside the user or the request'),
            ('hooks', 'name', 'Its name for people and commands'),
            ('hooks', 'content_types', 'Its tables, by their current names'),
            ('hooks', 'events', 'The actions for which it runs'),
            ('hooks', 'job', 'The job that it runs: module.Class'),
            ('hooks', 'enabled', 'The hook''s own switch'),
            ('hooks', 'paused', 'Whether it runs nothing and keeps its position in the log'),
            ('hooks', 'runs', 'Whether changes lead to runs now: hook and job are enabled, the hook is not paused, and the job is installed'),
            ('hooks', 'description', 'Its purpose'),
            ('hooks', 'id', 'Its number in deliveries and results'),
            ('hooks', 'priority', 'Lists show higher priorities first; it has no other effect'),
            ('hooks', 'columns', 'An update fires only if one of these columns changed; empty: any column'),
            ('hooks', 'conditions', 'An expression in CEL that a change must satisfy; empty: none'),
            ('hooks', 'coalesce_s', 'Changes of an object are delivered as one: those of one transaction (0), of one request (-1), or within this number of seconds'),
            ('hooks', 'why_not', 'Why changes, or those of one of its tables, lead to no runs, and the command that helps; null: they do'),
            ('hooks', 'condition_failures', 'For about how many changes the conditions could not be evaluated'),
            ('hooks', 'condition_error', 'Why the conditions are invalid, or could not be evaluated for the latest such change'),
            ('hooks', 'condition_state', 'valid, invalid, or unchecked: no program has compiled them yet; null: no conditions'),
            ('hooks', 'roles', 'Only changes of sessions that logged in as one of these roles trigger it; empty: all'),
            ('hooks', 'data', 'What it passes to its receiver: self.hook.data'),
            ('hooks', 'loaded', 'Whether the daemon that leads has loaded the receiver; null: no daemon leads'),
            ('hooks', 'data_state', 'valid, invalid, or unchecked: no program that has the receiver has seen them; null: no data'),
            ('hooks', 'data_error', 'Why the receiver does not take the data'),
            ('hooks', 'settings', 'All its settings, as jobhooks.save_hook takes them'),
            ('results', 'change_id', 'The delivered change'),
            ('results', 'hook', 'The hook, also after it is deleted'),
            ('results', 'hook_deleted', 'Whether the hook was deleted since'),
            ('results', 'job', 'The job that ran, also after it is deleted'),
            ('results', 'attempt', 'Counts the attempts at this delivery from 1'),
            ('results', 'status', 'success, failure or discarded'),
            ('results', 'started_at', 'When the receiver was called'),
            ('results', 'duration', 'How long it took'),
            ('results', 'error', 'Why it failed or was discarded; null on success'),
            ('results', 'log', 'The lines that the receiver logged: level, object, message'),
            ('results', 'value', 'What the receiver returned, as JSON'),
            ('results', 'version', 'The version of the receiver that ran: the first digits of the hash of its source; null if unknown'),
            ('results', 'package', 'The installed package of that version, with the package''s own version'),
            ('results', 'log_levels', 'How many lines of each level the receiver logged; null: none'),
            ('backlog', 'hook', 'The hook; null for what the hooks that read together have not read, and for deleted hooks'),
            ('backlog', 'status', 'unread, or of pending deliveries: waiting, blocked by an older one, dead'),
            ('backlog', 'changes', 'How many; an estimate for unread changes'),
            ('backlog', 'oldest', 'When the oldest of them was recorded'),
            ('backlog', 'state', 'unread, or the state of pending deliveries as delivery list shows it')
        ) as known (table_name, column_name, comment)
        join pg_attribute as attribute
            on attribute.attrelid = ('jobhooks.' || known.table_name)::regclass and attribute.attname = known.column_name
        where col_description(attribute.attrelid, attribute.attnum) is distinct from known.comment
    loop
        execute format('comment on column jobhooks.%I.%I is %L', said.table_name, said.column_name, said.comment);
    end loop;
    if obj_description('jobhooks.delivery'::regclass) is distinct from 'The backlog: deliveries that wait for a time or an older delivery, and dead ones' then
        comment on table jobhooks.delivery is 'The backlog: deliveries that wait for a time or an older delivery, and dead ones';
    end if;
end
$$;
