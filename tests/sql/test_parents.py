"""Watching a table with parents: refusals, options that stay, and later findings of the doctor."""

import contextlib
from collections.abc import Generator

import psycopg
import pytest

from conftest import Connection
from jobhooks.errors import UnknownTable, UnwatchableTable
from jobhooks.operations import tables
from jobhooks.operations.doctor import problems
from jobhooks.operations.table_explain import explain_table
from jobhooks.schema.install import install
from jobhooks.store.connections import SyncConnection, connect
from support.postgres.programs import dump_with, psql

SCHEMA = """
    create domain public.key as bigint;
    create domain public.longer as public.key;
    create table public.other (id integer primary key);
    create table public.pair (a uuid, b varchar(5), primary key (b, a));
    create table public.link (
        id integer primary key,
        device_id public.longer references public.device, second smallint references public.device,
        a uuid, b text, n numeric, secret integer, foreign key (a, b) references public.pair (a, b)
    );
"""


@pytest.fixture
def admin(device: Connection, database: str) -> Generator[SyncConnection]:
    device.execute(SCHEMA.encode())
    with contextlib.closing(connect(database)) as connection:
        tables.watch(connection, "public.pair")
        yield connection


def watch(admin: SyncConnection, *parents: str) -> list[str]:
    return tables.watch(admin, "public.link", exclude=["secret"], ignore=["n"], parents=parents).parents


def test_parents_are_listed_as_they_were_named(admin: SyncConnection) -> None:
    """A foreign key gives the columns, in the order of the parent's key, not the foreign key's."""
    named = ["public.pair", "public.device=second", "public.device=device_id"]
    listed = ["public.pair=b,a", "public.device=second", "public.device=device_id"]
    assert watch(admin, *named) == listed
    assert watch(admin, *reversed(listed)) == listed[::-1]
    assert tables.table_details(admin, "public.link").parents == explain_table(admin, "link").parents == listed[::-1]
    assert watch(admin) == []


@pytest.mark.parametrize(
    ("parent", "reason", "remedy"),
    [
        ("public.other=id", "that is not watched", "jobhooks table watch public.other"),
        ("public.link=id", "it is the table itself", None),
        ("public.device", "not exactly one foreign key leads to its key", "=COLUMN[,COLUMN...]"),
        ("public.device=none", "there is no column none", None),
        ("public.device=secret", "its column secret is excluded from the log", None),
        ("public.device=n", "its column n is ignored", None),
        ("public.device=a", "its column a is of the type uuid, and the key of the parent is of the type integer", None),
        ("public.device=id,second", r"its key has 1 column \(id\), and 2 are named", None),
        ("public.pair=b", r"its key has 2 columns \(b, a\), and 1 is named", None),
        (
            "public.pair=a,b",
            "its column a is of the type uuid, and the key of the parent is of the type character",
            None,
        ),
    ],
)
def test_a_parent_that_no_row_could_tell_is_refused(
    admin: SyncConnection, parent: str, reason: str, remedy: str | None
) -> None:
    """Nothing changes."""
    assert watch(admin, "public.device=device_id") == ["public.device=device_id"]
    with pytest.raises(UnwatchableTable, match=reason) as refused:
        watch(admin, "public.device=second", parent)
    assert (remedy or "jobhooks table watch public.link --parent") in (refused.value.remedy or "")
    assert tables.table_details(admin, "public.link").parents == ["public.device=device_id"]


@pytest.mark.parametrize("parent", ["public.none=id", "", "=id", "public.devices"])
def test_a_parent_that_does_not_exist_is_refused(admin: SyncConnection, parent: str) -> None:
    with pytest.raises(UnknownTable):
        watch(admin, parent)
    with pytest.raises(psycopg.Error, match="there is no such table"):
        admin.execute("select jobhooks.watch('public.link', parents => %s)", ['[{"table": "public.none"}]'])
    assert watch(admin, "device=device_id") == ["public.device=device_id"]


TYPES = {
    ("integer", "bigint"): True,
    ("text", "varchar(3)"): True,
    ("uuid", "uuid"): True,
    ("numeric(10,2)", "numeric(10,2)"): True,
    ("numeric(10,2)", "numeric(10,3)"): False,
    ("numeric", "numeric"): False,
    ("char(3)", "char(3)"): True,
    ("char(3)", "char(4)"): False,
    ("timestamp", "timestamp(3)"): True,
    ("timestamptz", "timestamptz"): False,
    ("float8", "float8"): False,
    ("interval", "interval"): False,
    ("public.colour", "public.colour"): True,
    ("inet", "inet"): True,
    ("integer", "text"): False,
}


def test_equal_values_must_have_equal_texts(admin: SyncConnection) -> None:
    """Otherwise the changes of a row and those of its children would be in different lanes."""
    admin.execute("create type public.colour as enum ('red')")
    fits: dict[tuple[str, str], bool] = {}
    for number, (key, child) in enumerate(TYPES):
        up, down = f"public.up_{number}", f"public.down_{number}"
        admin.execute(f"create table {up} (id {key} primary key); create table {down} (up {child})".encode())
        tables.watch(admin, up)
        try:
            tables.watch(admin, down, keyless=True, parents=[f"{up}=up"])
        except UnwatchableTable as exc:
            assert "type" in str(exc)
            fits[key, child] = False
        else:
            fits[key, child] = True
    assert fits == TYPES


def test_a_collation_must_not_ignore_the_case(admin: SyncConnection) -> None:
    try:
        admin.execute(
            "create collation public.alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server has no ICU")
    admin.execute(
        "create table public.up (id text collate public.alike primary key); create table public.down (up text)"
    )
    tables.watch(admin, "public.up")
    with pytest.raises(UnwatchableTable, match="equal values of its column up can be written differently"):
        tables.watch(admin, "public.down", keyless=True, parents=["public.up=up"])


def test_parents_stay_when_a_table_is_watched_as_before(admin: SyncConnection) -> None:
    """Also for a table that takes the place of another one, and one that an installation watches again."""
    listed = watch(admin, "public.device=device_id")
    admin.execute("update jobhooks.content_type set triggers = '{}'")
    assert tables.watch_outdated(admin) == 3
    assert tables.table_details(admin, "public.link").parents == listed
    tables.unwatch(admin, "public.link")
    assert tables.watch_as_before(admin, "public.link")
    assert tables.table_details(admin, "public.link").parents == listed
    admin.execute(
        "alter table public.link rename to link_old; create table public.link (like public.link_old including all)"
    )
    assert tables.watch_instead(admin, "public.link", "public.link_old").parents == listed
    admin.execute("alter table public.device rename to gadget")
    assert tables.table_details(admin, "public.link").parents == ["public.gadget=device_id"]
    assert problems(admin, 30) == []


def test_each_change_of_the_parents_is_a_new_configuration(admin: SyncConnection) -> None:
    """The daemon loads its tables again when that changes."""

    def version() -> str:
        ((found,),) = admin.execute("select jobhooks.configuration_version()").fetchall()
        return found

    versions = [version()]
    for parents in (["public.device=second"], ["public.device=second", "public.pair"], []):
        watch(admin, *parents)
        versions.append(version())
    assert len({*versions}) == 4


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("select jobhooks.unwatch('public.device')", "public.device no more: that is not watched"),
        ("drop table public.device cascade", "public.device no more: that was dropped"),
        ("alter table public.link rename device_id to gadget_id", "no more: there is no column device_id"),
        (
            "alter table public.device alter id drop identity; alter table public.device alter id type numeric",
            "its column device_id is of the type bigint, and the key",
        ),
        ("select jobhooks.watch('public.device', keyless => true)", "no more: its rows have no key"),
    ],
)
def test_the_doctor_finds_a_parent_whose_hooks_get_nothing(admin: SyncConnection, statement: str, problem: str) -> None:
    watch(admin, "public.device=device_id")
    assert problems(admin, 30) == []
    admin.execute(statement.encode())
    (found,) = [each for each in problems(admin, 30) if each.subject == "public.link"]
    assert (found.severity, problem in found.problem) == ("error", True), found.problem
    assert (
        "jobhooks table watch public.link --exclude secret --ignore n --parent public.device=device_id" in found.remedy
    )


def test_a_dump_has_the_parents(admin: SyncConnection, database: str, empty_database: str) -> None:
    watch(admin, "public.device=device_id", "public.pair")
    finished = psql(empty_database, dump_with(database))
    assert finished.returncode == 0, finished.stderr
    with contextlib.closing(connect(empty_database)) as restored:
        install(restored)
        parents = tables.table_details(restored, "public.link").parents
    assert parents == ["public.device=device_id", "public.pair=b,a"]


def test_no_trigger_changes_for_the_sake_of_parents(admin: SyncConnection) -> None:
    """The daemon finds the parents: a writer of the child does no more than before."""
    statements = "select triggers from jobhooks.content_type where name = 'public.link'"
    watch(admin)
    without = admin.execute(statements).fetchall()
    watch(admin, "public.device=device_id", "public.pair")
    assert admin.execute(statements).fetchall() == without


def test_a_table_is_not_its_own_parent_whoever_writes_that(admin: SyncConnection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        admin.execute(
            "insert into jobhooks.content_type_parent (content_type_id, parent_id, columns, position)"
            " values (1, 1, '{id}', 1)"
        )
