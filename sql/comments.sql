-- Comments on columns that people read in psql (\d+), unless a migration has added them. Applied after the views, at every
-- installation; only missing ones, because a comment waits for a VACUUM of the table.
do $$
declare
    said record;
begin
    for said in
        select known.*
        from (values
            ('content_type', 'id', 'What changes, hooks and deliveries call the table'),
            ('content_type', 'watched', 'False once jobhooks.unwatch was called: nothing of it is captured any more'),
            ('content_type', 'created_at', 'When it was first watched'),
            ('object_change', 'id', 'Rises in the order in which the rows were written; numbers can be missing'),
            ('object_change', 'time', 'When the row was written, which may be long before its transaction committed'),
            ('object_change', 'content_type_id', 'Which table: jobhooks.content_type'),
            ('object_change', 'action', 'create, update, delete; or truncate, of the whole table'),
            ('job', 'id', 'What hooks and results call it'),
            ('job', 'installed', 'Whether the daemon finds the receiver'),
            ('job', 'enabled', 'Whether it may run: jobhooks job enable'),
            ('job', 'created_at', 'When the receiver was first found'),
            ('job_hook', 'id', 'What deliveries and results call it'),
            ('job_hook', 'name', 'What people call it'),
            ('job_hook', 'description', 'What it is for'),
            ('job_hook', 'job_id', 'What runs: jobhooks.job'),
            ('job_hook', 'events', 'The actions for which it runs'),
            ('job_hook', 'enabled', 'Whether changes lead to runs; the job must be enabled, too'),
            ('job_hook', 'created_at', 'When it was added'),
            ('job_result', 'change_id', 'What was delivered: jobhooks.object_change, as long as the log has it'),
            ('job_result', 'hook_id', 'To which hook, which may be gone by now'),
            ('job_result', 'job_id', 'The job that ran'),
            ('job_result', 'attempt', 'Counts the attempts at this delivery from 1'),
            ('job_result', 'started_at', 'When the receiver was called'),
            ('job_result', 'finished_at', 'When it had returned, or failed'),
            ('job_result', 'error', 'Why it failed or was discarded; null on success'),
            ('job_result', 'traceback', 'Where in the receiver it failed'),
            ('job_log_entry', 'change_id', 'With hook and attempt: the result, in jobhooks.job_result, that it belongs to'),
            ('job_log_entry', 'hook_id', 'See change_id'),
            ('job_log_entry', 'attempt', 'See change_id'),
            ('job_log_entry', 'line', 'Counts the lines of the attempt from 1'),
            ('job_log_entry', 'level', 'debug, info, success, warning or failure'),
            ('job_log_entry', 'time', 'When it was logged'),
            ('job_log_entry', 'message', 'What the receiver said'),
            ('delivery', 'change_id', 'What is owed: jobhooks.object_change'),
            ('delivery', 'hook_id', 'To which hook, which may be gone by now'),
            ('delivery', 'content_type_id', 'The table of the change'),
            ('delivery', 'due_at', 'When it will be attempted; null unless it is waiting'),
            ('delivery', 'parked_at', 'When it became a debt'),
            ('changes', 'id', 'Rises in the order in which the rows were written'),
            ('changes', 'time', 'When the row was written'),
            ('changes', 'table_name', 'What the table is called now, or was when it was last watched'),
            ('changes', 'action', 'create, update, delete or truncate'),
            ('changes', 'user_name', 'Who, as the application said it, else the role that connected'),
            ('changes', 'request_id', 'Why, as the application said it'),
            ('changes', 'triggering', 'False for what a receiver wrote: no hook runs for it'),
            ('changes', 'object_key', 'The key of the row as it is now'),
            ('changes', 'removed', 'Of an update the former values of the columns that differ; of a delete the row'),
            ('changes', 'added', 'Of an update the new values of the columns that differ; of a create the row'),
            ('changes', 'context', 'What else there is to say: see jobhooks.object_change'),
            ('changes', 'transaction_id', 'The top-level transaction that made the change'),
            ('hooks', 'name', 'What people call the hook'),
            ('hooks', 'content_types', 'The tables that it is for, as they are called now'),
            ('hooks', 'events', 'The actions for which it runs'),
            ('hooks', 'job', 'What runs: module.Class'),
            ('hooks', 'enabled', 'The hook''s own switch'),
            ('hooks', 'runs', 'Whether changes lead to runs now: hook and job are enabled, and the job is installed'),
            ('hooks', 'description', 'What it is for'),
            ('hooks', 'id', 'What deliveries and results call it'),
            ('hooks', 'priority', 'In lists the higher is before the lower; it changes nothing else'),
            ('hooks', 'columns', 'An update fires only if one of these columns changed; empty: whichever changed'),
            ('hooks', 'conditions', 'An expression in CEL that a change must satisfy; empty: none'),
            ('hooks', 'coalesce_s', 'Changes of an object are delivered as one: those of one transaction (0), or of so many seconds'),
            ('hooks', 'why_not', 'Why changes, or those of one of its tables, lead to no runs, and the command that helps; null: they do'),
            ('hooks', 'condition_failures', 'For about how many changes the conditions could not be evaluated'),
            ('hooks', 'condition_error', 'Why not, for the last of them, or for any'),
            ('hooks', 'condition_state', 'valid, invalid, or unchecked: no program has compiled them yet; null: it has none'),
            ('hooks', 'settings', 'All that an operator sets of it, as jobhooks.save_hook takes it'),
            ('results', 'change_id', 'What was delivered'),
            ('results', 'hook', 'To which hook; null once it is gone'),
            ('results', 'job', 'The job that ran; null once it is gone'),
            ('results', 'attempt', 'Counts the attempts at this delivery from 1'),
            ('results', 'status', 'success, failure or discarded'),
            ('results', 'started_at', 'When the receiver was called'),
            ('results', 'duration', 'How long it took'),
            ('results', 'error', 'Why it failed or was discarded; null on success'),
            ('results', 'log', 'The lines that the receiver logged: level, object, message'),
            ('results', 'value', 'What the receiver returned, as JSON'),
            ('backlog', 'hook', 'Which hook; null for what is unread, and for hooks that are gone'),
            ('backlog', 'status', 'unread, or of the debts: waiting, blocked behind an older one, dead'),
            ('backlog', 'changes', 'How many; of the unread ones about'),
            ('backlog', 'oldest', 'Since when the oldest of them is owed')
        ) as known (table_name, column_name, comment)
        join pg_attribute as attribute
            on attribute.attrelid = ('jobhooks.' || known.table_name)::regclass and attribute.attname = known.column_name
        where col_description(attribute.attrelid, attribute.attnum) is distinct from known.comment
    loop
        execute format('comment on column jobhooks.%I.%I is %L', said.table_name, said.column_name, said.comment);
    end loop;
end
$$;
