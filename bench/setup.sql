-- Shared by the measured tables: their columns, their rows, and the floors to compare capture with.
create schema bench;

create table bench.source (
    id integer primary key,
    name text not null,
    serial text not null,
    model text not null,
    site text not null,
    status text not null,
    comments text not null,
    data jsonb not null,
    created timestamptz not null default now(),
    updated timestamptz not null default now()
);

comment on table bench.source is 'The rows that the measured tables are filled with; each about 350 bytes as json';

-- A floor is the least that a log of rows can cost: one plain insert of the row as json, and nothing else.
create table bench.floor_log (
    id bigint generated always as identity primary key,
    object json not null
);

create table bench.floor_both_log (
    id bigint generated always as identity primary key,
    prechange json,
    postchange json
);

comment on table bench.floor_log is 'The log of the floor: the row after, or if there is none, before';
comment on table bench.floor_both_log is 'The log of the floor that keeps the row before and after';

create function bench.floor_new()
returns trigger
language plpgsql
as $$
begin
    insert into bench.floor_log (object) values (row_to_json(new));
    return null;
end
$$;

create function bench.floor_old()
returns trigger
language plpgsql
as $$
begin
    insert into bench.floor_log (object) values (row_to_json(old));
    return null;
end
$$;

-- The missing row of an INSERT or a DELETE is null.
create function bench.floor_both()
returns trigger
language plpgsql
as $$
begin
    insert into bench.floor_both_log (prechange, postchange) values (row_to_json(old), row_to_json(new));
    return null;
end
$$;

comment on function bench.floor_new() is 'The floor for INSERT and UPDATE';
comment on function bench.floor_old() is 'The floor for DELETE';
comment on function bench.floor_both() is 'The floor that keeps the row before and after';
