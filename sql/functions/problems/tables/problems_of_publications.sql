-- jobhooks.problems_of_publications(): publications that have tables of jobhooks, and subscriptions that bring such rows.
--
-- A publication for all tables cannot leave out any before PostgreSQL 19.
create or replace function jobhooks.problems_of_publications()
returns table (severity text, subject text, problem text, remedy text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
    with own as (
        select oid, relname, relnamespace from pg_class
        where relnamespace in (select oid from pg_namespace where nspname in ('jobhooks', 'jobhooks_capture'))
    ),

    publication as (
        select
            known.*,
            current_setting('server_version_num')::integer >= 150000 as has_schemas,
            array(
                select format('%I.%I', own.relnamespace::regnamespace, own.relname)
                from pg_publication_rel as part
                join own on own.oid = part.prrelid
                where part.prpubid = known.oid
                order by 1
            ) as named
        from pg_publication as known
        where exists (select from pg_get_publication_tables(known.pubname) as part join own on own.oid = part.relid)
    ),

    application (schemas, tables) as (
        select string_agg(distinct quote_ident(namespace.nspname), ', '),
            string_agg(format('%I.%I', namespace.nspname, class.relname), ', ' order by namespace.nspname, class.relname)
        from pg_class as class
        join pg_namespace as namespace on namespace.oid = class.relnamespace
        where class.relkind in ('r', 'p') and not class.relispartition and class.relpersistence = 'p'
            and namespace.nspname not in ('pg_catalog', 'information_schema', 'jobhooks', 'jobhooks_capture')
    )

    select
        'warning', format('publication %s', publication.pubname),
        'it publishes the tables of jobhooks: replication stops at a subscriber without jobhooks, and at one with jobhooks as soon'
        ' as a new segment of the log begins here',
        case
            when publication.puballtables then format(
                'drop publication %1$I; create publication %1$I for %2$s with (publish = ''%3$s''%4$s);'
                ' then on the subscriber: alter subscription ... refresh publication', publication.pubname,
                case
                    when application.schemas is null or publication.has_schemas
                        then 'tables in schema ' || coalesce(application.schemas, 'public')
                    when length(application.tables) > 500 then 'table ..., with the tables of the application'
                    else 'table ' || application.tables
                end,
                concat_ws(
                    ', ', case when publication.pubinsert then 'insert' end, case when publication.pubupdate then 'update' end,
                    case when publication.pubdelete then 'delete' end, case when publication.pubtruncate then 'truncate' end
                ),
                case when publication.pubviaroot then ', publish_via_partition_root' else '' end
            )
            when publication.named <> '{}'
                then format('alter publication %I drop table %s', publication.pubname, array_to_string(publication.named, ', '))
            else format('alter publication %I drop tables in schema jobhooks, jobhooks_capture', publication.pubname)
        end
    from publication
    cross join application
    union all
    select distinct
        'warning', format('subscription %s', subscription.subname),
        'it brings the rows of another database''s jobhooks: they are left out here, but replication stops as soon as a new'
        ' segment of the log begins there',
        'leave the tables of jobhooks out of the publication: jobhooks doctor there has the command'
    from pg_subscription_rel as part
    join own on own.oid = part.srrelid
    join pg_subscription as subscription on subscription.oid = part.srsubid
$$;

comment on function jobhooks.problems_of_publications() is
'Publications that have tables of jobhooks, and subscriptions that bring such rows';
