"""Tables that belong together: a parent, its child, and one that receivers alone write.

Their hooks merge the changes of a request, get the changes of children as updates of the parent, and run for the writes
of another receiver. Each writer has its own rows, so the order of a row's changes is that of their ids.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from jobhooks.matching.hook_settings import REQUEST_S
from jobhooks.operations.configuration.hooks import edit_hook
from jobhooks.store.connections import connect
from support.chaos.oracle import LoggedChange, Promise, listed
from support.hooking import add_hook

WRITTEN = ("public.piece", "public.remark")  # by the writers
ECHO = "public.echo"
MAKE_FAMILY = """
create table public.piece (id integer primary key, value integer not null);
create table public.remark (id integer primary key, value integer not null, piece_id integer);
create table public.echo (id integer primary key, value integer not null);
create table public.got_piece (n bigserial primary key, hook integer, change bigint, piece integer);
select jobhooks.watch('public.piece');
select jobhooks.watch('public.remark', parents => '[{"table": "public.piece", "columns": ["piece_id"]}]');
select jobhooks.watch('public.echo');
create function public.make_remarks(low integer, high integer, steps integer)
returns integer language plpgsql as $$
declare
    changed integer := 0;
    number integer;
    what double precision;
    one integer;
    piece integer;
begin
    for step in 1..steps loop
        what := random();
        one := low + floor(random() * (high - low));
        piece := low + floor(random() * (high - low));
        if what < 0.4 then
            insert into public.remark values (one, 0, case when piece % 10 > 0 then piece end) on conflict do nothing;
        elsif what < 0.6 then
            update public.remark set value = (value + 1) % 6 where id = one;
        elsif what < 0.9 then
            update public.remark set value = (value + 1) % 6, piece_id = piece where id = one;
        else
            delete from public.remark where id = one;
        end if;
        get diagnostics number = row_count;
        changed := changed + number;
    end loop;
    return changed;
end
$$;
"""
RECEIVERS = """
from jobhooks import JobHookReceiver
from ._shared import fails, record

class Merges(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        await record(self, change)

class Gathers(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    def receive_job_hook(self, change):
        if change.related is not None:
            pieces = {change.changed_object_id}
        else:
            pieces = {row["id"] for row in (change.prechange, change.postchange) if row is not None}
        for piece in pieces:
            self.connection.execute(
                "insert into public.got_piece (hook, change, piece) values (%s, %s, %s)",
                [self.hook.id, change.id, piece],
            )
        if fails(self, change):
            raise ValueError("at random")

class Repeats(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        await self.connection.execute(
            "insert into public.echo values ($1, 0) on conflict (id) do update set value = (echo.value + 1) % 6",
            change.changed_object_id,
        )
        if fails(self, change):
            raise ValueError("at random")

class Follows(JobHookReceiver):
    class Meta:
        backoff, max_attempts = 0.02, 1000
    async def receive_job_hook(self, change):
        await record(self, change)
"""
HOOKS: dict[str, tuple[str, dict[str, object]]] = {  # each with its table and its settings
    "Merges": ("public.piece", {"coalesce_s": REQUEST_S, "debounce_s": 0.2, "conditions": "related == null"}),
    "Gathers": ("public.piece", {}),
    "Repeats": ("public.piece", {}),
    "Follows": (ECHO, {"chain_depth": 1}),
}

# Gathers and Repeats have a success for each change of a piece, and for each one of a remark that refers to a piece.
# Follows has one for each write of Repeats.
IS_SETTLED = """
with logged as (
    select known.name, count(*)
    from jobhooks.object_change as change join jobhooks.content_type as known on known.id = change.content_type_id
    where known.name in ('public.piece', 'public.echo') or known.name = 'public.remark'
        and coalesce(change.prechange ->> 'piece_id', change.postchange ->> 'piece_id') is not null
    group by 1
),
settled as (
    select hook.name, count(*)
    from jobhooks.job_result as result join jobhooks.job_hook as hook on hook.id = result.hook_id
    where result.status = 'success' and hook.name ~ '[.](Gathers|Repeats|Follows)$'
    group by 1
)
select (select count(*) from settled) = 3 and not exists (
    select from settled
    where count < (
        select sum(logged.count) from logged
        where (logged.name = 'public.echo') = (settled.name = 'hook of family.Follows')
    )
)
"""


def add_family_hooks(conn: Connection[TupleRow], database: str, directory: Path) -> dict[str, int]:
    """Hook each receiver; the ids of the hooks, by the name of the receiver."""
    for kind, (table, settings) in HOOKS.items():
        add_hook(database, directory, f"family.{kind}", ["create", "update", "delete"], table)
        with closing(connect(database)) as admin:
            edit_hook(admin, f"hook of family.{kind}", settings)
    names = conn.execute("select name, id from jobhooks.job_hook where name like 'hook of family.%'").fetchall()
    return {name.removeprefix("hook of family."): id_ for name, id_ in names}


def family_promises(conn: Connection[TupleRow], hooks: dict[str, int]) -> dict[int, Promise]:
    """The promises that the oracle judges, by the hook's id."""
    tables: dict[str, int] = dict(conn.execute("select name, id from jobhooks.content_type").fetchall())
    return {
        hooks["Merges"]: Promise("Merges", frozenset({tables["public.piece"]}), merges="request"),
        hooks["Follows"]: Promise("Follows", frozenset({tables[ECHO]})),
    }


def family_faults(conn: Connection[TupleRow], log: dict[int, LoggedChange], hooks: dict[str, int]) -> list[str]:
    """Everything that is wrong with the updates of parents, and with the writes that another hook follows."""
    tables: dict[str, int] = dict(conn.execute("select name, id from jobhooks.content_type").fetchall())
    remarks = {
        id_: {before, after} - {None}
        for id_, before, after in conn.execute(
            "select id, (prechange ->> 'piece_id')::integer, (postchange ->> 'piece_id')::integer"
            " from jobhooks.object_change where content_type_id = %s",
            [tables["public.remark"]],
        )
    }
    pieces = {change.id: set(change.keys) for change in log.values() if change.table == tables["public.piece"]}
    return [*_wrong_writes(conn, tables[ECHO], pieces, remarks), *_wrong_updates(conn, hooks, pieces | remarks)]


def _wrong_writes(
    conn: Connection[TupleRow], echo: int, pieces: Mapping[int, set[int]], remarks: Mapping[int, set[int]]
) -> Iterable[str]:
    """Repeats writes once in each call: one for a change of a piece, one for each piece that a remark refers to."""
    written = Counter(
        change
        for (change,) in conn.execute(
            "select (context #>> '{caused_by,change}')::bigint from jobhooks.object_change where content_type_id = %s",
            [echo],
        )
    )
    expected = Counter(dict.fromkeys(pieces, 1) | {id_: len(rows) for id_, rows in remarks.items()})
    yield from listed("Repeats: not written for", (expected - written).elements())
    yield from listed("Repeats: written too often for", (written - expected).elements())


def _wrong_updates(conn: Connection[TupleRow], hooks: dict[str, int], rows: Mapping[int, set[int]]) -> Iterable[str]:
    """Gathers gets the changes of each piece, and of the remarks that refer to it, in the order of their ids."""
    expected: defaultdict[int, list[int]] = defaultdict(list)
    for id_ in sorted(rows):
        for piece in rows[id_]:
            expected[piece].append(id_)
    got: defaultdict[int, list[int]] = defaultdict(list)
    query = "select change, piece from public.got_piece where hook = %s order by n"
    for change, piece in conn.execute(query, [hooks["Gathers"]]):
        got[piece].append(change)
    wrong = (
        f"piece {piece}: {_first_difference(expected[piece], got[piece])}"
        for piece in sorted(expected.keys() | got.keys())
        if expected[piece] != got[piece]
    )
    yield from listed("Gathers: other updates than expected", wrong)


def _first_difference(expected: list[int], got: list[int]) -> str:
    place = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(expected, got, strict=False)))
    return f"after {place} updates {expected[place : place + 3]}, and got {got[place : place + 3]}"
