"""Dumps without data, with data that come later, and of some schemas or tables."""

import contextlib

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from conftest import Connection
from jobhooks.errors import SqlMismatch
from jobhooks.operations import tables
from jobhooks.operations.adopting import adopt
from jobhooks.operations.doctor import problems
from jobhooks.operations.opening import connection
from jobhooks.operations.tables import WatchedTable
from jobhooks.runtime.settings import load
from jobhooks.schema.install import check_installed, check_original, install
from jobhooks.schema.script import installation_script
from jobhooks.schema.uninstall import uninstall
from jobhooks.store.connections import SyncConnection, connect
from jobhooks.store.queries import migrations
from support.capturing import words
from support.postgres.programs import dump, dump_with, psql
from support.postgres.servers import Server

TABLES = """
create schema aaa;
create table aaa.first (id integer primary key, note text);
create table public.parted (id integer primary key, note text) partition by range (id);
create table public.parted_0 partition of public.parted for values from (0) to (10);
create table public.filled (id serial primary key, note text);
create table public.plain
    (id integer, "the 'Key'" text primary key, note text, secret text, seen integer, later integer);
select jobhooks.watch('public.device'), jobhooks.unwatch('public.device');
select jobhooks.watch('aaa.first', always => true);
select jobhooks.watch('public.parted', keep_lastval => false);
select jobhooks.watch('public.filled');
select jobhooks.watch('public.plain', exclude => '{secret}', ignore => '{seen,later}', keep_lastval => true);
insert into aaa.first values (1, 'a');
insert into public.parted values (1, 'p');
insert into public.plain values (1, 'key', 'n', 'hush');
"""
WATCHED = [
    WatchedTable("aaa.first", "watched", ["id"], always=True, keep_lastval=None, exclude=[], ignore=[], parents=[]),
    WatchedTable(
        "public.filled", "watched", ["id"], always=False, keep_lastval=None, exclude=[], ignore=[], parents=[]
    ),
    WatchedTable(
        "public.parted", "watched", ["id"], always=False, keep_lastval=False, exclude=[], ignore=[], parents=[]
    ),
    WatchedTable(
        "public.plain",
        "watched",
        ["the 'Key'"],
        always=False,
        keep_lastval=True,
        exclude=["secret"],
        ignore=["seen", "later"],
        parents=[],
    ),
]
HOOKS = """
insert into jobhooks.job (class_path, enabled) values ('m.On', true), ('m.Off', true);
select jobhooks.add_hook('on', '{public.plain}', '{create,update}', 'm.On', columns => '{note}');
select jobhooks.add_hook('off', '{aaa.first}', '{create}', 'm.Off');
update jobhooks.job set enabled = false, installed = false where class_path = 'm.Off';
"""


def restore(url: str, script: str) -> None:
    """Restore a dump; one that does not fit fails."""
    finished = psql(url, script)
    assert finished.returncode == 0, finished.stderr


def reinstall(admin: SyncConnection) -> None:
    """Do the same as the command ``install``."""
    install(admin)
    tables.watch_outdated(admin)


@pytest.fixture
def source(device: Connection, database: str) -> str:
    """The URL of a database to dump."""
    device.execute(TABLES.encode())
    return database


def test_a_restore_without_data_is_told_and_repaired(source: str, empty_database: str) -> None:
    """As with structure.sql of Rails, and with test databases: the triggers are there, and no row of jobhooks."""
    restore(empty_database, dump(source))
    with psycopg.connect(empty_database, autocommit=True) as application:
        write = b"insert into public.plain values (1, 'a'); truncate public.plain, public.parted, public.parted_0"
        application.execute(write)
        with contextlib.closing(connect(empty_database)) as admin:
            for installed in (True, False):
                with pytest.raises(SqlMismatch, match=r"lack their rows.*jobhooks install"):
                    check_installed(admin)
                if installed:
                    with pytest.raises(SqlMismatch), connection(load(database_url=empty_database)):
                        pass
            assert "lack their rows" in problems(admin, 30)[0].problem
            with pytest.raises(psycopg.DatabaseError, match="no rows"):
                admin.execute("select jobhooks.watch('public.plain')")
            reinstall(admin)
            check_installed(admin)
            check_original(admin)
            assert tables.watched_tables(admin) == WATCHED
            assert problems(admin, 30) == []
            assert install(admin) == []
        assert words(application) == []
        application.execute("insert into public.plain values (1, 'a', 'n', 'hush')")
        application.execute("update public.plain set seen = 1")
        application.execute("insert into public.parted values (2, 'p'); insert into aaa.first values (1, 'f')")
        assert words(application) == ["create 1 n", "create 2 p", "create 1 f"]
        ids = application.execute(
            "select coalesce(max(change.content_type_id), 0) <= max(known.id) from jobhooks.object_change as change,"
            " jobhooks.content_type as known"
        )
        assert ids.fetchone() == (True,)


def test_the_script_repairs_a_restore_without_data(source: str, empty_database: str) -> None:
    """By a role that owns nothing of the source: without owners and privileges."""
    restore(empty_database, dump_with(source, "--schema-only", "--no-owner", "--no-privileges", "--no-comments"))
    finished = psql(empty_database, installation_script())
    assert finished.returncode == 0, finished.stderr
    with contextlib.closing(connect(empty_database)) as admin:
        check_installed(admin)
        assert tables.watched_tables(admin) == WATCHED
        assert problems(admin, 30) == []


@pytest.mark.parametrize("version", range(12, 21))
def test_a_dump_of_an_earlier_version_is_repaired_and_upgraded(empty_database: str, version: int) -> None:
    """Its functions do not say which one it is; its tables do."""
    with contextlib.closing(connect(empty_database)) as admin:
        for migration in migrations()[:version]:
            admin.execute(migration.text.encode())
        for table in ("cursor", "configuration", "log_segment"):
            admin.execute(f"delete from jobhooks.{table}".encode())
        newer = [f"{step.version:04d}_{step.name}" for step in migrations()[version:]]
        # The first of these changes nothing if it is applied again.
        assert [name for name in install(admin) if not name.startswith("0018")] == [
            name for name in newer if not name.startswith("0018")
        ]
        check_installed(admin)
        check_original(admin)
        assert problems(admin, 30) == []


def test_an_empty_schema_of_an_unknown_version_is_refused(empty_database: str) -> None:
    """It could be any version's, so its missing migrations are not known."""
    with contextlib.closing(connect(empty_database)) as admin:
        for migration in migrations()[:8]:
            admin.execute(migration.text.encode())
        with pytest.raises(SqlMismatch, match=r"unknown version.*jobhooks uninstall"):
            install(admin)
        assert "unknown version" in psql(empty_database, installation_script()).stderr
        uninstall(admin)
        assert len(install(admin)) > 1


@pytest.mark.parametrize("flags", [(), ("--inserts",)], ids=["copy", "inserts"])
def test_data_can_be_restored_after_the_schema(source: str, empty_database: str, flags: tuple[str, ...]) -> None:
    """Its triggers fire for each restored row, which is no change, and its number could be one in the dump."""
    with psycopg.connect(source, autocommit=True) as original:
        original.execute(HOOKS.encode())
        expected = words(original)
        history = original.execute("select count(*) from jobhooks.configuration_change").fetchone()
    restore(empty_database, dump(source))
    restore(empty_database, dump_with(source, "--data-only", *flags))
    with contextlib.closing(connect(empty_database)) as admin:
        assert words(admin) == expected
        for table in ("aaa.first", "public.parted", "public.plain"):
            assert admin.execute(f"select count(*) from {table}".encode()).fetchone() == (1,), table
        assert admin.execute("select name from jobhooks.job_hook order by 1").fetchall() == [("off",), ("on",)]
        assert admin.execute("select count(*) from jobhooks.configuration_change").fetchone() == history
        check_installed(admin)
        adopt(admin)
        check_original(admin)
        admin.execute("insert into public.plain values (2, 'b', 'later')")
        assert words(admin) == [*expected, "create 2 later"]


def test_data_can_be_restored_in_any_order(source: str, empty_database: str) -> None:
    """As by pg_restore --jobs: each table in its own session, those of the application first, last or in between."""
    data = {
        part: dump_with(source, "--data-only", *flags)
        for part, flags in {
            "cursor": ("--table=jobhooks.cursor", "--table=jobhooks.installation", "--table=jobhooks.log_segment"),
            "log": ("--table=jobhooks.object_change_1", "--table=jobhooks.content_type"),
            "plain": ("--table=public.plain",),
            "parted": ("--table=public.parted", "--table=public.parted_0"),
            "numbers": ("--table=jobhooks.object_change_id_seq",),
        }.items()
    }
    restore(empty_database, dump(source))
    for part in ("plain", "cursor", "parted", "log", "numbers"):
        restore(empty_database, data[part])
    with psycopg.connect(empty_database, autocommit=True) as application:
        assert words(application) == ["create 1 a", "create 1 p", "create 1 n"]
        application.execute("insert into public.plain values (2, 'b', 'later')")
        assert words(application)[-1] == "create 2 later"


RESULT = "insert into jobhooks.job_result values (5, 1, 1, 1, 'success', now(), now())"
# Where the ids are that were handed out; retention drops changes from the log.
IDS = {
    "log": "insert into public.device (name) select 'x' from generate_series(1, 5)",
    "position": "update jobhooks.cursor set horizon_floor = 5",
    "result": RESULT,
    "backlog": "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, due_at)"
    " values (5, 1, 1, 'waiting', now())",
}


@pytest.mark.parametrize("ids", IDS)
def test_a_log_that_was_restored_without_its_sequence_is_told_and_repaired(
    device: Connection, database: str, ids: str
) -> None:
    """Otherwise a writer fails with the number of an earlier change, or its change counts as read or done."""
    device.execute(IDS[ids].encode())
    device.execute("select setval('jobhooks.object_change_id_seq', 1, false)")
    with contextlib.closing(connect(database)) as admin:
        with pytest.raises(SqlMismatch, match="above the number of its sequence"):
            check_installed(admin)
        install(admin)
        check_installed(admin)
    device.execute("insert into public.device (name) values ('y')")
    assert device.execute("select max(id) from jobhooks.object_change").fetchone() == (6,)


@pytest.mark.parametrize("function", ["adopt", "adopt_moved"])
def test_to_adopt_sets_the_number_of_the_log(device: Connection, function: str) -> None:
    """Also by the function, which checks nothing before."""
    device.execute("update jobhooks.cursor set horizon_floor = 5, system_identifier = 1")
    device.execute("select setval('jobhooks.object_change_id_seq', 1, false)")
    device.execute(f"select jobhooks.{function}()".encode())
    device.execute("insert into public.device (name) values ('y')")
    assert device.execute("select max(id) from jobhooks.object_change").fetchone() == (6,)


@pytest.mark.parametrize("ids", ["log", "result"])
def test_a_copy_without_the_number_of_the_log_fails_no_writer(source: str, empty_database: str, ids: str) -> None:
    """As after a restore of tables without sequences: the writer sets the number, past all that are in use."""
    restore(empty_database, dump(source))
    restore(empty_database, dump_with(source, "--data-only"))
    with psycopg.connect(empty_database, autocommit=True) as application:
        if ids == "result":
            application.execute(RESULT.encode())
        application.execute("select setval('jobhooks.object_change_id_seq', 1, false)")
        with psycopg.connect(empty_database) as another:
            another.execute("insert into public.plain values (2, 'b', 'earlier')")
            application.execute("insert into public.plain values (3, 'c', 'later')")
            another.commit()
        assert words(application)[-2:] == ["create 2 earlier", "create 3 later"]
        first = 4 if ids == "log" else 6
        assert application.execute("select id from jobhooks.object_change order by id desc limit 2").fetchall() == [
            (first + 1,),
            (first,),
        ]


def test_a_session_from_before_the_repair_records_after_it(source: str, empty_database: str) -> None:
    """Connections of a pool live longer than that, and the plan of its function knows the state of then."""
    restore(empty_database, dump(source))
    with psycopg.connect(empty_database, autocommit=True) as application:
        application.execute("insert into aaa.first values (1, 'before')")
        with contextlib.closing(connect(empty_database)) as admin:
            install(admin)
        application.execute("update aaa.first set note = 'after'")
        assert words(application) == ["update 1 before>after"]


def test_a_table_from_another_database_is_not_taken_for_one_of_this(
    device: Connection, database: str, source: str, server: Server
) -> None:
    """Its triggers have the number that another table has here, whose hooks would run for it."""
    (number,) = device.execute("select id from jobhooks.content_type where name = 'aaa.first'").fetchall()[0]
    name = f"{conninfo_to_dict(database)['dbname']}_other"
    server.execute("create database {}", name)
    try:
        other = make_conninfo(database, dbname=name)
        with contextlib.closing(connect(other)) as admin:
            install(admin)
            admin.execute("create table public.site (id integer primary key, note text)")
            admin.execute("select setval('jobhooks.content_type_id_seq', %s)", [number - 1])
            tables.watch(admin, "public.site")
            admin.execute("create schema aaa")
            restore(other, dump_with(source, "--table=aaa.first"))
            found = [problem for problem in problems(admin, 30) if problem.subject == "aaa.first"]
            assert [(problem.severity, problem.remedy) for problem in found] == [("error", "jobhooks install")]
            assert "as those of public.site" in found[0].problem
            reinstall(admin)
            assert [problem for problem in problems(admin, 30) if problem.subject == "aaa.first"] == []
            admin.execute("insert into aaa.first values (2, 'f'); insert into public.site values (3, 's')")
            recorded = admin.execute(
                "select known.name, change.postchange ->> 'note' from jobhooks.object_change as change"
                " join jobhooks.content_type as known on known.id = change.content_type_id order by change.id"
            ).fetchall()
            assert recorded == [("aaa.first", "f"), ("public.site", "s")]
            assert tables.watched_tables(admin)[0] == WATCHED[0]
    finally:
        server.execute("drop database {} with (force)", name)


def test_a_table_that_was_dropped_and_restored_keeps_its_hooks(source: str, database: str) -> None:
    with contextlib.closing(connect(database)) as admin:
        backup = dump_with(source, "--table=public.plain")
        before = admin.execute("select id from jobhooks.content_type where name = 'public.plain'").fetchone()
        admin.execute("drop table public.plain")
        restore(database, backup)
        reinstall(admin)
        assert admin.execute("select id from jobhooks.content_type where name = 'public.plain'").fetchone() == before
        assert WATCHED[2] in tables.watched_tables(admin)
        assert [found for found in problems(admin, 30) if found.subject == "public.plain"] == []
        admin.execute("update public.plain set note = 'again'")
        assert words(admin)[-1] == "update 1 n>again"


def test_a_template_of_tests_is_a_copy_whose_tables_are_written(
    device: Connection, database: str, server: Server
) -> None:
    """Writers go on, and hooks run after ``adopt`` only."""
    name = f"{conninfo_to_dict(database)['dbname']}_clone"
    source = device.info.dbname
    device.close()
    server.execute("create database {} template {}", name, source)
    try:
        with contextlib.closing(connect(make_conninfo(database, dbname=name))) as clone:
            clone.execute("insert into public.device (name) values ('cloned')")
            assert [found.remedy[:14] for found in problems(clone, 30) if found.severity == "error"] == [
                "jobhooks adopt"
            ]
            assert install(clone) == []
            adopt(clone)
            assert [found for found in problems(clone, 30) if found.severity != "note"] == []
            check_installed(clone)
    finally:
        server.execute("drop database {} with (force)", name)
