-- jobhooks.changes: the log for people, with differences: removed and added hold only the columns that changed.
create or replace view jobhooks.changes as
select
    change.id,
    change.time,
    coalesce(jobhooks.table_name(content_type.relation), content_type.name) as table_name,
    change.action,
    coalesce(change.context ->> 'user_name', change.session_role) as user_name,
    change.context ->> 'request_id' as request_id,
    change.triggering,
    jobhooks.columns_of(coalesce(change.postchange, change.prechange), content_type.key_columns) as object_key,
    case when change.action = 'update'
        then jobhooks.difference(change.prechange, change.postchange, content_type.ignore)
        else change.prechange
    end as removed,
    case when change.action = 'update'
        then jobhooks.difference(change.postchange, change.prechange, content_type.ignore)
        else change.postchange
    end as added,
    change.context,
    change.transaction_id,
    change.context ->> 'message' as message,
    jobhooks.depth_of(change.triggering, change.context) as depth
from jobhooks.object_change as change
join jobhooks.content_type as content_type on content_type.id = change.content_type_id;

comment on view jobhooks.changes is 'The log for people, with differences';
