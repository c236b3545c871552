-- squawk-ignore-file
-- What it says of locks and of clients is right for tables that an application uses; this one is jobhooks' own.
set local lock_timeout = '5s';

-- Null: lastval() stays after an INSERT into a table that a sequence fills. Until now false was what a table without the option had.
alter table jobhooks.content_type alter column keep_lastval drop not null, alter column keep_lastval drop default;
update jobhooks.content_type set keep_lastval = null where not keep_lastval;
comment on column jobhooks.content_type.keep_lastval is
'Whether a captured row leaves lastval() of its session as it was; null: an inserted row of a table that a sequence fills';
