-- squawk-ignore-file
-- The functions that write changes to the log, as text with a placeholder for the number of the segment. jobhooks.use_segment
-- creates the functions from it, and jobhooks doctor compares them with it.
create table jobhooks.capture_template (
    function text primary key,
    definition text not null
);
comment on table jobhooks.capture_template is 'The functions that write changes to the log, with a placeholder for its newest segment';
comment on column jobhooks.capture_template.function is 'Its name and the types of its arguments';
comment on column jobhooks.capture_template.definition is 'The statement that creates it, with {segment} for the number of the segment';
