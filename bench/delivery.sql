-- The tables of the measured daemon, in addition to those of setup.sql.

-- No key, so that a row written twice is found.
create table bench.written (
    change_id bigint not null,
    device_id integer not null
);

comment on table bench.written is 'What the receivers that write have written: one row for each delivery';

-- No key either. The hook is its number, because several hooks write here.
create table bench.recorded (
    hook_id integer not null,
    change_id bigint not null
);

comment on table bench.recorded is 'What the receivers that record have written: one row for each delivery';

create table bench.acknowledged (change_id bigint primary key);

comment on table bench.acknowledged is 'The least that an acknowledgement can be, for the floor';

create table public.device_timed (like bench.source including defaults);
alter table public.device_timed
alter column id add generated always as identity,
add primary key (id),
add column sent_us bigint not null default (extract(epoch from clock_timestamp()) * 1000000)::bigint;

comment on column public.device_timed.sent_us is 'When the row was inserted, in microseconds since 1970';

-- The floor of latency: the cheapest notification of a row.
create function bench.notify_id()
returns trigger
language plpgsql
as $$
begin
    perform pg_notify('bench', new.id::text);
    return null;
end
$$;

comment on function bench.notify_id() is 'Tells whoever listens the id of the row';
