"""Hooks and jobs in SQL: invalid ones are refused for every kind of writer, and each change is recorded."""

import json
import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from conftest import Connection
from jobhooks.contract.job_settings import RULES, JobSettings
from jobhooks.errors import (
    HookConflict,
    InvalidSetting,
    JobhooksError,
    JobIsOff,
    NotWatched,
    UnknownColumn,
    UnknownEvent,
    UnknownHook,
)
from jobhooks.matching.hook_settings import DEFAULTS
from jobhooks.operations.lookup.nearest_names import nearest_names, suggestion
from jobhooks.store.connections import SyncConnection, translated_errors
from support.capturing import client_with
from support.daemon import LIMIT, wait_until
from support.postgres.servers import Server, prepared_template

HISTORY = "select kind, name, action, user_name, before, after from jobhooks.configuration_change order by id"
LINK = "insert into jobhooks.job_hook_content_type select id, {1} from jobhooks.job_hook where name = '{0}'"
ID = "(select id from jobhooks.job_hook where name = '{}')"


@pytest.fixture(scope="session")
def jobs_template(server: Server, device_template: str) -> Generator[str]:
    """The database that tests with the fixture ``jobs`` clone."""

    def prepare(admin: SyncConnection) -> None:
        admin.execute("create table public.site (id integer primary key, place text, secret text)")
        admin.execute("select jobhooks.watch('public.site', exclude => '{secret}')")
        admin.execute(
            "insert into jobhooks.job (class_path, enabled) values ('a.On', true), ('a.Too', true), ('a.Off', false)"
        )
        admin.execute("delete from jobhooks.configuration_change")

    with prepared_template(server, device_template, "jobhooks_test_template_jobs", prepare) as name:
        yield name


@pytest.fixture
def cloned(request: pytest.FixtureRequest, cloned: str) -> str:
    return request.getfixturevalue("jobs_template") if "jobs" in request.fixturenames else cloned


@pytest.fixture
def jobs(device: Connection) -> Connection:
    """The client, with two jobs that are on and one that is not, and a second watched table, all of the template."""
    return device


def add(conn: Connection, name: str, more: str = "", *, events: str = "create,update", job: str = "a.On") -> None:
    with translated_errors():
        conn.execute(
            f"select jobhooks.add_hook(%s, '{{public.device}}', %s, %s {more})".encode(), [name, f"{{{events}}}", job]
        )


def run(conn: Connection, statement: str, *parameters: object) -> None:
    with translated_errors():
        conn.execute(statement.encode(), parameters or None)


def names(conn: Connection) -> list[object]:
    return [name for (name,) in conn.execute("select name from jobhooks.hooks order by name")]


def plainly(conn: Connection, name: str, events: str = "update", columns: str = "") -> None:
    """Write a hook and its table with two INSERTs in one transaction, without our functions."""
    with translated_errors(), conn.transaction():
        conn.execute(
            "insert into jobhooks.job_hook (name, job_id, events, columns) values (%s, 1, %s, %s)",
            [name, f"{{{events}}}", f"{{{columns}}}"],
        )
        conn.execute(LINK.format(name, 1).encode())


def test_two_hooks_cannot_share_a_table_a_job_and_an_event(jobs: Connection) -> None:
    """A change would run the job twice. The message names the other hook, the table and the event."""
    add(jobs, "first")
    with pytest.raises(HookConflict) as caught:
        add(jobs, "second", events="delete,update")
    for thing in ('"second"', '"first"', "a.On", "update", "public.device"):
        assert thing in caught.value.message
    add(jobs, "another event", events="delete,truncate")
    add(jobs, "another job", job="a.Too")
    run(jobs, "select jobhooks.add_hook('another table', '{public.site}', '{update}', 'a.On')")
    assert names(jobs) == ["another event", "another job", "another table", "first"]


def test_a_hook_that_is_not_enabled_is_in_conflict_all_the_same(jobs: Connection) -> None:
    """Otherwise the conflict would appear when it is enabled, possibly much later and by another person."""
    add(jobs, "first", ", enabled => false")
    with pytest.raises(HookConflict):
        add(jobs, "second")
    with pytest.raises(HookConflict):
        add(jobs, "second", ", enabled => false")


@pytest.mark.parametrize(
    "statements",
    [
        [
            "insert into jobhooks.job_hook (name, job_id, events) values ('plain', 1, '{update}')",
            LINK.format("plain", 1),
        ],
        ["update jobhooks.job_hook set events = '{delete,update}' where name = 'other event'"],
        ["update jobhooks.job_hook set job_id = 1 where name = 'other job'"],
        [LINK.format("other table", 1)],
        [
            "update jobhooks.job_hook_content_type set content_type_id = 1"
            f" where job_hook_id = {ID.format('other table')}"
        ],
        [
            f"update jobhooks.job_hook_content_type set job_hook_id = {ID.format('other table')}"
            f" where job_hook_id = {ID.format('first')}",
            f"update jobhooks.job_hook_content_type set job_hook_id = {ID.format('first')}"
            f" where job_hook_id = {ID.format('other event')}",
            LINK.format("other event", 2),
        ],
        ["""select jobhooks.edit_hook('other event', '{"events": ["update"]}')"""],
        ["""select jobhooks.edit_hook('other job', '{"job": "a.On"}')"""],
        ["""select jobhooks.edit_hook('other table', '{"content_types": ["public.device", "public.site"]}')"""],
    ],
)
def test_no_way_of_writing_leads_around_the_conflict(jobs: Connection, statements: list[str]) -> None:
    add(jobs, "first", events="create,update")
    add(jobs, "other event", events="delete")
    add(jobs, "other job", job="a.Too")
    run(jobs, "select jobhooks.add_hook('other table', '{public.site}', '{update,delete}', 'a.On')")
    with pytest.raises(HookConflict):
        run(jobs, "; ".join(statements))
    assert jobs.execute("select * from jobhooks.conflicts_of_hooks()").fetchall() == []


@pytest.mark.parametrize(
    ("setting", "value", "same", "another"),
    [
        ("conditions", "true", "true", "false"),
        ("columns", ["name"], ["name"], ["serial"]),
        ("columns", ["name", "serial"], ["serial", "name", "serial"], ["name"]),
        ("data", {"a": [1.0], "b": 1}, {"b": 1, "a": [1.00]}, {"a": [1]}),
    ],
)
def test_hooks_that_differ_in_what_they_are_for_may_share_all_the_rest(
    jobs: Connection, setting: str, value: object, same: object, another: object
) -> None:
    """They stay different: every way of making them equal is refused, for any order of a list."""
    rest = {"content_types": ["public.device"], "events": ["update"], "job": "a.On"}

    def save(hook: str | None, **settings: object) -> None:
        run(jobs, "select jobhooks.save_hook(%s, %s)", hook, json.dumps(settings))

    save(None, name="first", **rest)
    save(None, name="second", **rest, **{setting: value})
    with pytest.raises(HookConflict):
        save(None, name="third", **rest, **{setting: same})
    save(None, name="third", **rest, **{setting: another})
    with pytest.raises(HookConflict) as caught:
        save("third", **{setting: same})
    assert '"second"' in caught.value.message
    with pytest.raises(HookConflict) as caught:
        run(
            jobs,
            f"update jobhooks.job_hook set {setting} = (select {setting} from jobhooks.job_hook where name = 'first')"
            " where name = 'second'",
        )
    assert '"first"' in caught.value.message
    assert jobs.execute("select * from jobhooks.conflicts_of_hooks()").fetchall() == []


@pytest.mark.parametrize(
    ("data", "is_taken"),
    [
        ('{"channel": "ops", "nested": [{"a": null}]}', True),
        (f'{{"n": "{"x" * 9_900}"}}', True),
        (f'{{"n": "{"x" * 10_000}"}}', False),
        ("[1]", False),
        ('"text"', False),
        (f'{{"n": {"[" * 25}1{"]" * 25}}}', True),
        (f'{{"n": {"[" * 40}1{"]" * 40}}}', False),
        ('{"n": [1e300, -1e300]}', True),
        ('{"n": [1e400]}', False),
        ('{"n": -1e309}', False),
    ],
)
def test_the_data_of_a_hook_are_a_small_object_for_every_writer(jobs: Connection, data: str, is_taken: bool) -> None:
    """Each run gets them, and every list must be able to show them."""
    add(jobs, "h")
    statements = (
        f"select jobhooks.edit_hook('h', jsonb_build_object('data', '{data}'::jsonb))",
        f"update jobhooks.job_hook set data = '{data}'",
    )
    for statement in statements:
        if is_taken:
            run(jobs, statement)
        else:
            with pytest.raises(InvalidSetting) as caught:
                run(jobs, statement)
            assert '"h"' in caught.value.message
    assert jobs.execute("select data <> '{}' from jobhooks.hooks").fetchall() == [(is_taken,)]


def test_the_roles_of_a_hook_exist_when_they_are_given(jobs: Connection, role: str) -> None:
    """A hook whose role is gone can still be changed; the doctor names it."""
    add(jobs, "any role")
    edit = "select jobhooks.edit_hook('any role', '{\"roles\": [%s]}')"
    with pytest.raises(InvalidSetting) as caught:
        run(jobs, edit % f'"{role}x"')
    assert '"any role"' in caught.value.message and f'Did you mean "{role}"' in caught.value.message
    run(jobs, edit % f'"{role}", "pg_monitor", "{role}"')
    assert jobs.execute("select roles from jobhooks.job_hook").fetchall() == [(sorted(["pg_monitor", role]),)]
    add(jobs, "other roles")
    with pytest.raises(HookConflict):
        run(jobs, f"update jobhooks.job_hook set roles = '{{{role},pg_monitor}}'")
    asks = "select severity, problem from jobhooks.problems() where subject = 'hook \"any role\"'"
    assert jobs.execute(asks.encode()).fetchall() == []
    with jobs.transaction(force_rollback=True):
        jobs.execute(f"drop role {role}".encode())
        ((severity, problem),) = jobs.execute(asks.encode())
        assert severity == "warning" and role in problem
        run(jobs, "update jobhooks.job_hook set priority = 3")
        with pytest.raises(InvalidSetting), jobs.transaction():
            run(jobs, edit % f'"{role}"')
            run(jobs, "set constraints all immediate")


def test_the_columns_that_a_job_is_ordered_by_are_those_of_its_tables(jobs: Connection) -> None:
    """In one of them at least. One that a receiver states later is for the doctor."""
    run(jobs, "select jobhooks.set_job('a.On', '{\"order_by\": [\"place\"]}')")
    with pytest.raises(UnknownColumn) as caught:
        add(jobs, "h")
    assert "place" in caught.value.message
    run(jobs, "select jobhooks.add_hook('h', '{public.device,public.site}', '{update}', 'a.On')")
    for table in ("{public.device}", "{}"):
        with pytest.raises((UnknownColumn, NotWatched)):
            run(jobs, f"select jobhooks.edit_hook('h', jsonb_build_object('content_types', '{table}'::text []))")
    with pytest.raises(UnknownColumn) as caught:
        run(jobs, "select jobhooks.set_job('a.On', '{\"order_by\": [\"plice\"]}')")
    assert '"h"' in caught.value.message and 'Did you mean "place"?' in caught.value.message
    jobs.execute("alter table public.site drop column place")
    ((severity, problem),) = jobs.execute(
        "select severity, problem from jobhooks.problems() where subject = 'hook \"h\"'"
    )
    assert severity == "warning" and "place" in problem
    run(jobs, "update jobhooks.job_hook set enabled = false")


def test_hooks_may_swap_within_a_transaction(jobs: Connection) -> None:
    """States within the transaction do not matter: the check runs at commit."""
    add(jobs, "first", events="create")
    add(jobs, "second", events="update")
    with jobs.transaction():
        jobs.execute("""select jobhooks.edit_hook('first', '{"events": ["update"]}')""")
        jobs.execute("""select jobhooks.edit_hook('second', '{"events": ["create"]}')""")
    events = jobs.execute("select name, events from jobhooks.hooks order by name").fetchall()
    assert events == [("first", ["update"]), ("second", ["create"])]


HALVES = [
    pytest.param(
        "select jobhooks.add_hook('one', '{public.device}', '{update}', 'a.On')",
        "select jobhooks.add_hook('two', '{public.device}', '{update}', 'a.On')",
        id="two hooks",
    ),
    pytest.param(
        "update jobhooks.job_hook set events = '{update}' where name = 'device'",
        "insert into jobhooks.job_hook_content_type select id, 1 from jobhooks.job_hook where name = 'site'",
        id="an event of one hook and a table of another",
    ),
    pytest.param(
        "update jobhooks.job_hook set events = '{create,delete}' where name = 'device'",
        "insert into jobhooks.job_hook_content_type select id, 2 from jobhooks.job_hook where name = 'device'",
        id="an event and a table of one hook",
    ),
]
ISOLATION = ["read committed", "repeatable read", "serializable"]


@pytest.mark.parametrize(("half", "other_half"), HALVES)
@pytest.mark.parametrize("isolation", ISOLATION)
def test_two_transactions_at_once_cannot_make_a_conflict(
    jobs: Connection, half: str, other_half: str, isolation: str
) -> None:
    """Neither sees the other's rows: the second waits for the first to commit, and is then refused."""
    add(jobs, "device", events="create")
    run(jobs, "select jobhooks.add_hook('site', '{public.site}', '{update,delete}', 'a.On')")
    with psycopg.connect(jobs.info.dsn) as one, psycopg.connect(jobs.info.dsn) as two, ThreadPoolExecutor(1) as thread:
        for session in (one, two):
            session.execute(f"set transaction isolation level {isolation}".encode())
        one.execute(half.encode())
        two.execute(other_half.encode())
        one.execute("set constraints all immediate")  # it is checked, and has not committed
        committed = thread.submit(two.commit)
        wait_until("the second waits", lambda: waiting(jobs, two) or committed.done())
        assert not committed.done(), "the second did not wait for the first"
        one.commit()
        with pytest.raises(psycopg.Error) as caught:
            committed.result(LIMIT)
    assert caught.value.sqlstate == ("JH025" if isolation == "read committed" else "40001")
    assert jobs.execute("select * from jobhooks.conflicts_of_hooks()").fetchall() == []


def waiting(conn: Connection, session: Connection) -> bool:
    activity = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
    return conn.execute(activity, [session.info.backend_pid]).fetchone() is not None


@pytest.mark.parametrize(
    ("job", "column", "remedy"),
    [
        ("a.Off", "enabled", "jobhooks job enable a.Off"),
        ("a.Too", "installed", "receiver"),
    ],
)
def test_a_hook_cannot_be_enabled_on_a_job_that_is_off(jobs: Connection, job: str, column: str, remedy: str) -> None:
    """Two switches confuse people most: the message names the one that is off, and the command to turn it on.

    Whether a receiver is there is known while a daemon leads, and before the first one a hook can be added.
    """
    jobs.execute("select jobhooks.acquire_leadership()")
    jobs.execute("insert into jobhooks.receiver_load (leader) select leader from jobhooks.cursor")
    jobs.execute(f"update jobhooks.job set {column} = false where class_path = %s".encode(), [job])
    add(jobs, "later", ", enabled => false", job=job)
    add(jobs, "moves", events="delete")
    for statement in (
        f"select jobhooks.add_hook('now', '{{public.site}}', '{{update}}', '{job}')",
        "select jobhooks.enable_hook('later')",
        "update jobhooks.job_hook set enabled = true where name = 'later'",
        "insert into jobhooks.job_hook (name, events, job_id)"
        f" select 'plain', '{{update}}', id from jobhooks.job where class_path = '{job}'",
        f"""select jobhooks.edit_hook('moves', '{{"job": "{job}"}}')""",
    ):
        with pytest.raises(JobIsOff) as caught:
            run(jobs, statement)
        assert job in caught.value.message and remedy in (caught.value.remedy or ""), statement
    jobs.execute(f"update jobhooks.job set {column} = true where class_path = %s".encode(), [job])
    run(jobs, "select jobhooks.enable_hook('later')")
    assert jobs.execute("select runs, why_not from jobhooks.hooks where name = 'later'").fetchall() == [(True, None)]


def why_not(conn: Connection) -> tuple[bool, bool, list[str]]:
    """Whether the only hook is enabled and runs, and the commands that would help."""
    ((enabled, runs, text),) = conn.execute("select enabled, runs, why_not from jobhooks.hooks").fetchall()
    return enabled, runs, re.findall(r"jobhooks run|jobhooks \w+ \w+(?: a\.On)?", text)


def test_the_hooks_of_a_job_that_goes_stay_enabled_and_say_why_they_run_nothing(jobs: Connection) -> None:
    """Immediately and in words; and they can still be edited and disabled."""
    add(jobs, "h")
    run(jobs, "select jobhooks.enable_job('a.On', false)")
    enable, find = "jobhooks job enable a.On", "jobhooks run"
    assert why_not(jobs) == (True, False, [enable])
    run(jobs, """select jobhooks.edit_hook('h', '{"description": "d", "events": ["delete"]}')""")
    run(jobs, "select jobhooks.register_jobs('[]', true)")
    assert why_not(jobs) == (True, False, [find, enable])
    run(jobs, "select jobhooks.enable_hook('h', false); drop table public.device")
    assert why_not(jobs) == (False, False, [find, enable])


@pytest.mark.parametrize(
    ("statement", "suggestion", "remedy"),
    [
        ("add_hook('i', '{device}', '{create}', 'a.On')", '"public.device"', "jobhooks table list"),
        (
            "add_hook('i', '{dcim.rack}', '{create}', 'a.On')",
            '"public.dcim_rack"',
            "jobhooks table watch public.dcim_rack",
        ),
        (
            "add_hook('i', '{Upper Case}', '{create}', 'a.On')",
            'public."Upper Case"',
            "jobhooks table watch 'public.\"Upper Case\"'",
        ),
        ("add_hook('i', '{public.device}', '{create}', 'a.on')", '"a.On"', "jobhooks job list"),
        ("edit_hook('Moves', '{}')", '"moves"', "jobhooks hook list"),
        ("enable_hook('Moves')", '"moves"', "jobhooks hook list"),
        ("delete_hook('movse')", '"moves"', "jobhooks hook list"),
        ("enable_job('a.Onn')", '"a.On"', "jobhooks job list"),
        ("set_job('On', '{}')", '"a.On"', "jobhooks job list"),
        ("reset_job('b.On')", '"a.On"', "jobhooks job list"),
    ],
)
def test_the_error_about_an_unknown_name_suggests_a_near_one(
    jobs: Connection, statement: str, suggestion: str, remedy: str
) -> None:
    """Raised by the database itself: no query can look for names after an error in a transaction."""
    add(jobs, "moves")
    jobs.execute(
        'create table public.dcim_rack (id int primary key); create table public."Upper Case" (id int primary key)'
    )
    with pytest.raises(JobhooksError) as caught:
        run(jobs, f"select jobhooks.{statement}")
    assert suggestion in caught.value.message and caught.value.message.endswith("?")
    assert caught.value.remedy == remedy


def test_an_error_about_a_name_unlike_any_other_suggests_nothing(jobs: Connection) -> None:
    with pytest.raises(UnknownHook) as caught:
        run(jobs, "select jobhooks.enable_hook('zzz')")
    assert "?" not in caught.value.message


@given(name=st.text('aAb. _"x', max_size=8), known=st.lists(st.text('aAb. _"x', max_size=8), max_size=4))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_database_and_the_program_suggest_the_same_names(jobs: Connection, name: str, known: list[str]) -> None:
    """One measure in two languages: for errors that the database raises, and for receivers that it does not know."""
    rows = jobs.execute("select jobhooks.nearest_names(%s, %s), jobhooks.did_you_mean(%s, %s)", [name, known] * 2)
    assert rows.fetchone() == (nearest_names(name, known), suggestion(name, known))


def test_a_hook_needs_an_event_and_a_table(jobs: Connection) -> None:
    for events in ("", "rename"):
        with pytest.raises(UnknownEvent) as caught:
            add(jobs, "h", events=events)
        assert '"h"' in caught.value.message and events in caught.value.message
    with pytest.raises(UnknownEvent):
        plainly(jobs, "h", events="")
    with pytest.raises(NotWatched):
        run(jobs, "insert into jobhooks.job_hook (name, job_id, events) values ('h', 1, '{update}')")
    add(jobs, "h")
    with pytest.raises(NotWatched):
        run(jobs, "delete from jobhooks.job_hook_content_type")
    run(jobs, "delete from jobhooks.job_hook")


def test_the_columns_of_a_hook_are_those_of_its_tables(jobs: Connection) -> None:
    add(jobs, "h", ", columns => '{serial,name,serial}'")
    assert jobs.execute("select columns from jobhooks.hooks").fetchall() == [(["name", "serial"],)]
    with pytest.raises(UnknownColumn) as caught:
        run(jobs, """select jobhooks.edit_hook('h', '{"columns": ["serial", "place", "nothing"]}')""")
    assert '"h"' in caught.value.message and "nothing, place" in caught.value.message
    with pytest.raises(UnknownColumn, match='Did you mean "serial"'):
        run(jobs, """select jobhooks.edit_hook('h', '{"columns": ["name", "serail"]}')""")
    tables = '{"content_types": ["public.device", "public.site"], "columns": ["serial", "place"]}'
    run(jobs, f"select jobhooks.edit_hook('h', '{tables}')")
    for statement in (
        "delete from jobhooks.job_hook_content_type where content_type_id = 2",
        "update jobhooks.job_hook set columns = '{secret}'",  # an excluded column: it never changes
    ):
        with pytest.raises(UnknownColumn):
            run(jobs, statement)
    with pytest.raises(UnknownColumn):
        plainly(jobs, "plain", events="delete", columns="ctid")


def test_a_hook_whose_column_is_dropped_can_still_be_changed(jobs: Connection) -> None:
    """The doctor reports it. Otherwise even disabling the hook would be refused."""
    add(jobs, "h", ", columns => '{serial}'")
    jobs.execute("alter table public.device drop column serial")
    run(jobs, """select jobhooks.edit_hook('h', '{"description": "d", "enabled": false, "events": ["update"]}')""")
    with pytest.raises(UnknownColumn):
        run(jobs, """select jobhooks.edit_hook('h', '{"columns": ["serial", "name"]}')""")


def test_a_hook_is_edited_in_what_is_named(jobs: Connection) -> None:
    add(jobs, "h", ", 'd', '{name}', 'true', 5, priority => 3")
    since = jobs.execute("select enabled_since from jobhooks.job_hook").fetchall()
    run(jobs, """select jobhooks.edit_hook('h', '{"name": "i", "job": "a.Too", "coalesce_s": null, "priority": 4}')""")
    run(jobs, "select jobhooks.edit_hook('i', '{}')")
    assert jobs.execute(
        "select name, job, events, description, columns, conditions, coalesce_s, priority, enabled from jobhooks.hooks"
    ).fetchall() == [("i", "a.Too", ["create", "update"], "d", ["name"], "true", None, 4, True)]
    assert jobs.execute("select enabled_since from jobhooks.job_hook").fetchall() == since
    for statement in ("edit_hook('h', '{}')", "enable_hook('h')", "delete_hook('h')"):
        with pytest.raises(UnknownHook, match='"h"'):
            run(jobs, f"select jobhooks.{statement}")
    with pytest.raises(InvalidSetting, match="colour"):
        run(jobs, """select jobhooks.edit_hook('i', '{"colour": "red"}')""")


def test_the_daemon_pauses_a_hook_that_triggers_itself_and_may_change_nothing_else(jobs: Connection, role: str) -> None:
    """Resuming it, in whatever way, forgets the reason: a later pause is an operator's."""
    add(jobs, "it's h")
    jobs.execute(f"grant jobhooks_daemon to {role}".encode())
    ((leader,),) = jobs.execute("select jobhooks.acquire_leadership()").fetchall()
    hook_id = ID.format("it''s h")
    pause = f"select jobhooks.pause_loop(%s, {hook_id}, 'it triggered itself')"
    with psycopg.connect(jobs.info.dsn, user=role, autocommit=True) as daemon:
        with pytest.raises(psycopg.Error) as stale:
            daemon.execute(pause.encode(), [leader - 1])
        assert stale.value.sqlstate == "JH012"
        daemon.execute(pause.encode(), [leader])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            daemon.execute("update jobhooks.job_hook set paused = false")
    why_not = "select why_not from jobhooks.hooks"
    problem = "select severity, problem, remedy from jobhooks.problems_of_hooks()"
    remedy = r"jobhooks hook resume 'it'\''s h'"
    assert jobs.execute(why_not.encode()).fetchone() == (f"it is paused: it triggered itself. Try: {remedy}",)
    ((severity, text, advice),) = jobs.execute(problem.encode()).fetchall()
    assert severity == "error" and text.endswith("because it triggered itself") and advice.endswith(remedy)
    jobs.execute("update jobhooks.job_hook set paused = false")
    jobs.execute("select jobhooks.pause_hook('it''s h')")
    assert jobs.execute(why_not.encode()).fetchone() == (f"it is paused. Try: {remedy}",)
    assert jobs.execute(problem.encode()).fetchall() == []


def test_a_deleted_hook_has_no_pending_deliveries(jobs: Connection) -> None:
    """Its deliveries could not be attempted, and the log would keep the changes forever."""
    add(jobs, "h")
    add(jobs, "other", job="a.Too")
    jobs.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, attempts, due_at) values"
        " (1, 1, 1, 'dead', 2, null), (2, 1, 1, 'waiting', 0, now()), (3, 1, 1, 'waiting', 0, now()),"
        " (1, 2, 1, 'dead', 1, null)"
    )
    # Change 3 has the result of one attempt, and its delivery is pending.
    jobs.execute(
        "insert into jobhooks.job_result (change_id, hook_id, job_id, attempt, status, started_at)"
        " values (3, 1, 1, 1, 'success', now())"
    )
    assert jobs.execute("select jobhooks.delete_hook('h')").fetchall() == [(2,)]
    assert jobs.execute("select change_id, hook_id from jobhooks.delivery").fetchall() == [(1, 2)]
    results = "select change_id, attempt, status, error like '%' || current_user from jobhooks.job_result order by 1"
    assert jobs.execute(results).fetchall() == [
        (1, 3, "discarded", True),
        (2, 1, "discarded", True),
        (3, 1, "success", None),
    ]
    assert names(jobs) == ["other"]


def test_each_change_of_a_hook_is_recorded_once_for_a_transaction(jobs: Connection) -> None:
    """Who, when, before and after; and the tables are part of the hook."""
    user = jobs.info.user
    with jobs.transaction():
        jobs.execute("set local jobhooks.user_name = 'alice'")
        add(jobs, "h")
        jobs.execute("update jobhooks.job_hook set description = 'd'")
    with jobs.transaction():
        jobs.execute("update jobhooks.job_hook set events = '{delete}'; update jobhooks.job_hook set enabled = false")
        jobs.execute(LINK.format("h", 2).encode())
    jobs.execute("update jobhooks.job_hook set enabled = false, enabled_since = pg_current_snapshot()")
    with jobs.transaction():
        jobs.execute("update jobhooks.job_hook set priority = 9; update jobhooks.job_hook set priority = 0")
    jobs.execute("delete from jobhooks.job_hook_content_type where content_type_id = 1")
    jobs.execute("delete from jobhooks.job_hook")
    first = {
        "name": "h",
        "content_types": ["public.device"],
        "events": ["create", "update"],
        "job": "a.On",
        "enabled": True,
        "priority": 0,
        "description": "d",
        "columns": [],
        "conditions": "",
        "coalesce_s": None,
    }
    first = {**DEFAULTS, **first}
    second = {**first, "content_types": ["public.device", "public.site"], "events": ["delete"], "enabled": False}
    third = {**second, "content_types": ["public.site"]}
    assert jobs.execute(HISTORY).fetchall() == [
        ("hook", "h", "create", "alice", None, first),
        ("hook", "h", "update", user, first, second),
        ("hook", "h", "update", user, second, third),
        ("hook", "h", "delete", user, third, None),
    ]


def test_transactions_at_once_are_recorded_one_after_the_other(jobs: Connection) -> None:
    """Each records the state after the one before, although neither saw the other's rows when it wrote."""
    add(jobs, "h")
    with psycopg.connect(jobs.info.dsn) as one, psycopg.connect(jobs.info.dsn) as two, ThreadPoolExecutor(1) as thread:
        one.execute("update jobhooks.job_hook set events = '{delete}'")
        two.execute(LINK.format("h", 2).encode())
        one.execute("set constraints all immediate")
        committed = thread.submit(two.commit)
        wait_until("the second waits", lambda: waiting(jobs, two) or committed.done())
        one.commit()
        committed.result(LIMIT)
    states = [after for *_, after in jobs.execute(HISTORY).fetchall()]
    assert [(state["events"], len(state["content_types"])) for state in states] == [
        (["create", "update"], 1),
        (["delete"], 1),
        (["delete"], 2),
    ]


def test_each_change_of_a_job_is_recorded_and_nothing_else(jobs: Connection) -> None:
    """Above all, a daemon's start without differences is not recorded."""
    found = '[{"class_path": "a.New", "settings": {"name": "%s", "max_attempts": 15, "backoff": 1.0}}]'
    for name in ("New", "New", "Newer"):
        jobs.execute("select jobhooks.register_jobs(%s, false)", [found % name])
    jobs.execute("select jobhooks.enable_job('a.New')")
    jobs.execute("select jobhooks.enable_job('a.New')")
    jobs.execute("""select jobhooks.set_job('a.New', '{"max_attempts": 5}')""")
    rows = jobs.execute(HISTORY).fetchall()
    assert [(kind, name, action) for kind, name, action, *_ in rows] == [
        ("job", "a.New", "create"),
        *[("job", "a.New", "update")] * 3,
    ]
    assert [sorted(name for name in after if not before or before[name] != after[name]) for *_, before, after in rows][
        1:
    ] == [["name"], ["enabled"], ["overrides"]]


def test_the_user_that_is_recorded_may_be_no_text(jobs: Connection) -> None:
    """A session can set any bytes, and is not to be kept from changing a hook by that."""
    for options in (b"-c jobhooks.user_name=m\xc3\xbcller", b"-c jobhooks.user_name=m\xfcller"):
        with client_with(jobs, options) as client:
            client.execute("update jobhooks.job set enabled = not enabled where class_path = 'a.On'")
    rows = jobs.execute("select user_name from jobhooks.configuration_change order by id").fetchall()
    assert rows == [("müller",), ("m\\374ller",)]


def test_history_goes_after_a_year_but_for_what_is_so_still(jobs: Connection) -> None:
    """Otherwise the next change of such a hook would look like its creation. The history of deleted ones is dropped."""
    for name, events in (("stays", "create"), ("goes", "update"), ("new", "delete")):
        add(jobs, name, events=events)
        run(jobs, """select jobhooks.edit_hook(%s, '{"description": "d"}')""", name)
    run(jobs, "select jobhooks.delete_hook('goes')")
    jobs.execute("update jobhooks.configuration_change set time = now() - interval '366 days' where name <> 'new'")
    history = "select name, action from jobhooks.configuration_change order by id"

    jobs.execute("select jobhooks.drop_old_history('367 days')")
    assert len(jobs.execute(history).fetchall()) == 7
    jobs.execute("select jobhooks.drop_old_history('1 day')")
    kept = [("stays", "update"), ("new", "create"), ("new", "update")]
    assert jobs.execute(history).fetchall() == kept
    run(jobs, """select jobhooks.edit_hook('stays', '{"description": "e"}')""")
    run(jobs, """select jobhooks.edit_hook('stays', '{"description": "e"}')""")
    assert jobs.execute(history).fetchall() == [*kept, ("stays", "update")]


SETTINGS = [
    (
        '{"max_attempts": 5, "time_limit": null, "soft_time_limit": 0.5}',
        ["max_attempts", "soft_time_limit", "time_limit"],
    ),
    ('{"order_by": ["site_id", "rack"]}', ["order_by"]),
    ('{"order_by": "none", "hidden": true, "grouping": "", "queue": "slow"}', None),
    ('{"on_failure": "skip", "concurrency": 1, "backoff": 1e3, "is_singleton": false, "name": "N"}', None),
    ('{"backoff": [1, 0.5, 86400], "no_retry_on": ["ValueError", "a.b.C"], "retry_on": []}', None),
]


@pytest.mark.parametrize(("settings", "overridden"), SETTINGS)
def test_a_job_is_set_otherwise_than_its_receiver_says_and_reset(
    jobs: Connection, settings: str, overridden: list[str] | None
) -> None:
    own = jobs.execute("select * from jobhooks.jobs where class_path = 'a.On'").fetchall()
    jobs.execute("select jobhooks.set_job('a.On', %s)", [settings])
    ((columns,),) = jobs.execute("select overridden from jobhooks.jobs where class_path = 'a.On'").fetchall()
    assert overridden is None or columns == overridden
    assert jobs.execute("select * from jobhooks.jobs where class_path = 'a.On'").fetchall() != own
    jobs.execute("select jobhooks.reset_job('a.On')")
    assert jobs.execute("select * from jobhooks.jobs where class_path = 'a.On'").fetchall() == own


def test_one_setting_is_reset_and_the_others_stay(jobs: Connection) -> None:
    jobs.execute("""select jobhooks.set_job('a.On', '{"max_attempts": 5, "order_by": ["id"], "time_limit": 3}')""")
    jobs.execute("""select jobhooks.set_job('a.On', '{"max_attempts": 6}')""")
    assert jobs.execute("select jobhooks.reset_job('a.On', '{order_by,backoff}')").fetchall() == [(["order_by"],)]
    assert jobs.execute("select overrides from jobhooks.job where class_path = 'a.On'").fetchall() == [
        ({"max_attempts": 6, "time_limit": 3},)
    ]


@pytest.mark.parametrize(
    "settings",
    [
        '{"attempts": 5}',
        '{"order_columns": ["id"]}',
        '{"max_attempts": 0}',
        '{"max_attempts": 1.5}',
        '{"max_attempts": 2.0}',
        '{"max_attempts": "5"}',
        '{"max_attempts": null}',
        '{"concurrency": 1e400}',
        '{"time_limit": 0}',
        '{"time_limit": 1e-400}',
        '{"backoff": null}',
        '{"backoff": "function"}',
        '{"backoff": []}',
        '{"backoff": [1, 0]}',
        '{"backoff": [1, "2"]}',
        '{"backoff": [[1]]}',
        '{"no_retry_on": "ValueError"}',
        '{"no_retry_on": ["Value Error"]}',
        '{"no_retry_on": ["a..b"]}',
        '{"retry_on": [1]}',
        '{"retry_on": null}',
        '{"batch_wait": -1}',
        '{"hidden": "yes"}',
        '{"on_failure": "explode"}',
        '{"order_by": []}',
        '{"order_by": "columns"}',
        '{"order_by": ["id", ""]}',
        '{"order_by": [1]}',
        '{"order_by": null}',
        '{"name": ""}',
        '{"queue": 1}',
        '{"batch_size": 10}',
    ],
)
def test_what_a_job_cannot_be_set_to(jobs: Connection, settings: str) -> None:
    """It is refused where it is said; a daemon could not read its hooks otherwise."""
    with pytest.raises(InvalidSetting) as caught:
        run(jobs, "select jobhooks.set_job('a.On', %s)", settings)
    (setting,) = json.loads(settings)
    assert f" {setting} " in caught.value.message
    assert jobs.execute("select overrides from jobhooks.job where overrides <> '{}'").fetchall() == []


@pytest.mark.parametrize(
    "settings", ['{"max_attempts": "x"}', '{"order_by": "columns"}', '{"order_columns": ["id"]}', '{"time_limit_s": 3}']
)
@pytest.mark.parametrize("column", ["settings", "overrides"])
def test_no_way_of_writing_leads_around_the_checks_of_a_setting(jobs: Connection, column: str, settings: str) -> None:
    with pytest.raises(InvalidSetting):
        run(jobs, f"update jobhooks.job set {column} = %s where class_path = 'a.On'", settings)


def test_a_receiver_states_no_batch_size_if_it_takes_single_changes(jobs: Connection) -> None:
    run(jobs, """update jobhooks.job set settings = '{"batch_size": null}' where class_path = 'a.On'""")
    run(jobs, """update jobhooks.job set settings = '{"backoff": "function"}' where class_path = 'a.On'""")
    with pytest.raises(InvalidSetting) as caught:
        run(jobs, """update jobhooks.job set overrides = '{"batch_size": null}' where class_path = 'a.On'""")
    assert "batch_size" in caught.value.message and "a.On" in caught.value.message


def test_the_size_of_a_batch_is_for_receivers_of_batches(jobs: Connection) -> None:
    """A receiver changed from batches to single changes gets single ones, regardless of earlier overrides."""
    set_size = "update jobhooks.job set settings = '{\"batch_size\": %s}' where class_path = 'a.On'"
    jobs.execute((set_size % 100).encode())
    jobs.execute("""select jobhooks.set_job('a.On', '{"batch_size": 10}')""")
    in_force = "select (settings -> 'batch_size')::text from jobhooks.jobs where class_path = 'a.On'"
    assert jobs.execute(in_force).fetchall() == [("10",)]
    jobs.execute((set_size % "null").encode())
    assert jobs.execute(in_force).fetchall() == [("null",)]
    jobs.execute("""select jobhooks.set_job('a.On', '{"max_attempts": 3}')""")


def test_a_setting_that_a_receiver_does_not_state_has_its_default(jobs: Connection) -> None:
    """As every job of an older program has for a setting that is new."""
    ((settings,),) = jobs.execute("select settings from jobhooks.jobs where class_path = 'a.On'").fetchall()
    assert msgspec.convert(settings, JobSettings) == JobSettings(name="On")
    assert sorted(settings) == sorted(RULES)


def test_the_daemon_hears_of_each_change(jobs: Connection) -> None:
    """So it needs no restart. Notifications arrive in commit order: those before the mark are its own."""
    with psycopg.connect(jobs.info.dsn, autocommit=True) as listener:
        add(jobs, "h")
        listener.execute("listen jobhooks")
        for statement in (
            """edit_hook('h', '{"description": "d"}')""",
            """edit_hook('h', '{"content_types": ["public.device", "public.site"]}')""",
            "enable_hook('h', false)",
            """set_job('a.On', '{"max_attempts": 5}')""",
            "reset_job('a.On')",
            "enable_job('a.On', false)",
            "delete_hook('h')",
        ):
            jobs.execute(f"select jobhooks.{statement}".encode())
            jobs.execute("notify jobhooks, 'mark'")
            heard: list[str] = []
            while "mark" not in heard:
                notices = [notice.payload for notice in listener.notifies(timeout=LIMIT, stop_after=1)]
                assert notices, f"{statement}: heard {heard}"
                heard += notices
            assert set(heard) == {"configuration", "mark"}, statement
