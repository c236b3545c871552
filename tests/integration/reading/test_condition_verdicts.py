"""Whether a hook's conditions compile is known for hooks from any source, and shown in every list."""

import contextlib
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.errors import InvalidConditions
from jobhooks.matching.hook_settings import HookSettings
from jobhooks.operations import doctor, tables
from jobhooks.operations.configuration import hooks, jobs
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import Daemon, wait_until
from support.generated import ROOT
from support.hooking import add_hook

INVALID = "new.serial ==== ("
VALID = 'new.serial == "1"'
HOOK = "hook of r.Sees"


def shown(conn: SyncConnection) -> tuple[str | None, bool, str | None]:
    """The state of the hook's conditions, whether it runs, and why not; the same in every list and view."""
    hook = hooks.hook_details(conn, HOOK)
    found = (hook.condition_state, hook.runs, hook.why_not)
    (listed,) = [each for each in hooks.hooks(conn) if each.name == HOOK]
    assert (listed.condition_state, listed.runs, listed.why_not) == found
    (of_job,) = jobs.job_details(conn, "r.Sees").hooks
    assert (of_job.runs, of_job.why_not) == found[1:]
    (of_table,) = tables.table_details(conn, "public.device").hooks
    assert (of_table.runs, of_table.why_not) == found[1:]
    return found


def is_shown(conn: SyncConnection, state: str) -> bool:
    """Whether the hook's conditions are in this state: one query, since the daemon may write at any moment."""
    return hooks.hook_details(conn, HOOK).condition_state == state


def problems(conn: SyncConnection) -> list[tuple[str, str]]:
    """The doctor's problems with the hook."""
    found = doctor.problems(conn, 30)
    return [(problem.severity, problem.problem) for problem in found if problem.subject == f'hook "{HOOK}"']


def set_conditions(conn: Connection, conditions: str) -> None:
    """Write conditions by a plain statement, past all checks."""
    conn.execute("update jobhooks.job_hook set conditions = %s", [conditions])


@pytest.mark.parametrize("conditions", [INVALID, VALID])
def test_conditions_that_no_program_has_compiled_are_unchecked(
    seen: Connection, database: str, receivers: Path, conditions: str
) -> None:
    """By jobhooks.add_hook, jobhooks.edit_hook and a plain update; without a daemon they stay unchecked."""
    add_hook(database, receivers, "r.Sees")
    with contextlib.closing(connect(database)) as conn:
        assert shown(conn) == (None, True, None)
        set_conditions(seen, conditions)
        unchecked = shown(conn)
        assert unchecked[:2] == ("unchecked", False) and "unchecked" in str(unchecked[2])
        assert [severity for severity, problem in problems(conn) if "unchecked" in problem] == ["warning"]
        seen.execute('select jobhooks.edit_hook(%s, \'{"conditions": ""}\')', [HOOK])
        assert shown(conn) == (None, True, None)
        seen.execute("select jobhooks.delete_hook(%s)", [HOOK])
        seen.execute(
            "select jobhooks.add_hook(%s, '{public.device}', '{update}', 'r.Sees', conditions => %s)",
            [HOOK, conditions],
        )
        assert shown(conn) == unchecked


def test_an_operation_compiles_conditions_when_it_saves_them(seen: Connection, database: str, receivers: Path) -> None:
    """A verdict is about one text: any other way of changing it makes the hook unchecked."""
    add_hook(database, receivers, "r.Sees")
    with contextlib.closing(connect(database)) as conn:
        hooks.edit_hook(conn, HOOK, {"conditions": VALID})
        assert shown(conn) == ("valid", True, None)
        hooks.edit_hook(conn, HOOK, {"description": "d"})
        assert shown(conn) == ("valid", True, None)
        with pytest.raises(InvalidConditions):
            hooks.edit_hook(conn, HOOK, {"conditions": INVALID})
        assert shown(conn) == ("valid", True, None)
        set_conditions(seen, VALID + " ")
        assert shown(conn)[0] == "unchecked"
        set_conditions(seen, VALID)
        assert shown(conn) == ("valid", True, None)
        hooks.delete_hook(conn, HOOK)
        hooks.add_hook(conn, HookSettings(HOOK, ["public.device"], "r.Sees", ["update"], conditions=VALID))
        assert shown(conn) == ("valid", True, None)


def test_a_running_daemon_checks_conditions_from_any_source(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Sees")
    set_conditions(seen, INVALID)
    with contextlib.closing(connect(database)) as conn:
        with Daemon(database, receivers, log) as daemon:
            wait_until("the conditions it finds are checked", lambda: is_shown(conn, "invalid"))
            state = shown(conn)
            assert not state[1] and "line 1, column" in str(state[2])
            assert [severity for severity, _ in problems(conn)] == ["error"]
            set_conditions(seen, VALID)
            wait_until("the next are checked", lambda: is_shown(conn, "valid"))
            assert problems(conn) == []
            seen.execute("select jobhooks.edit_hook(%s, %s)", [HOOK, '{"conditions": "1 +"}'])
            wait_until("conditions by a function are checked", lambda: is_shown(conn, "invalid"))
            assert daemon.terminate() == 0
        set_conditions(seen, VALID)
        assert shown(conn)[0] == "unchecked"


def test_a_daemon_checks_hooks_that_are_off(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """Of a disabled hook and of a disabled job, so that enabling either brings no surprise."""
    add_hook(database, receivers, "r.Sees")
    with contextlib.closing(connect(database)) as conn, Daemon(database, receivers, log).await_started() as daemon:
        hooks.enable_hook(conn, HOOK, enabled=False)
        set_conditions(seen, INVALID)
        wait_until("a disabled hook is checked", lambda: is_shown(conn, "invalid"))
        assert ";" in str(shown(conn)[2]), "two reasons"
        assert [severity for severity, _ in problems(conn)] == ["warning"]
        hooks.enable_hook(conn, HOOK)
        jobs.enable_job(conn, "r.Sees", enabled=False)
        set_conditions(seen, "1 +")
        wait_until("a hook of a disabled job is checked", lambda: is_shown(conn, "invalid"))
        assert daemon.terminate() == 0


def test_a_locked_hook_is_checked_once_it_is_free(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """The daemon waits for no lock, and comes again."""
    add_hook(database, receivers, "r.Sees")
    set_conditions(seen, INVALID)
    with (
        contextlib.closing(connect(database)) as conn,
        contextlib.closing(connect(database)) as other,
        contextlib.ExitStack() as stack,
    ):
        stack.enter_context(other.transaction())
        other.execute("select from jobhooks.job_hook for update")
        with Daemon(database, receivers, log).await_started() as daemon:
            assert shown(conn)[0] == "unchecked"
            stack.close()
            wait_until("it is checked", lambda: is_shown(conn, "invalid"))
            assert daemon.terminate() == 0


def test_of_two_daemons_the_leader_checks(seen: Connection, database: str, receivers: Path, tmp_path: Path) -> None:
    add_hook(database, receivers, "r.Sees")
    with (
        contextlib.closing(connect(database)) as conn,
        Daemon(database, receivers, tmp_path / "one.log").await_started() as leader,
        Daemon(database, receivers, tmp_path / "two.log") as standby,
    ):
        standby.await_event("standing_by")
        set_conditions(seen, INVALID)
        wait_until("the leader checks", lambda: is_shown(conn, "invalid"))
        assert leader.terminate() == 0
        standby.await_started()
        set_conditions(seen, VALID)
        wait_until("the other one checks", lambda: is_shown(conn, "valid"))
        assert standby.terminate() == 0


UNKNOWN = 'action == "create" || new.seriall == "1"'


def deliveries(conn: Connection) -> int:
    """The number of settled deliveries."""
    row = conn.execute("select count(*) from jobhooks.job_result").fetchone()
    assert row is not None
    return row[0]


def test_a_daemon_refuses_conditions_that_do_not_fit_the_tables(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The hook gets nothing, as every list says, even where its condition is true; until a table has the column."""
    add_hook(database, receivers, "r.Sees")
    set_conditions(seen, UNKNOWN)
    with contextlib.closing(connect(database)) as conn, Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it is invalid", lambda: is_shown(conn, "invalid"))
        state = shown(conn)
        assert not state[1] and "none of its tables has a column seriall. Did you mean serial?" in str(state[2])
        assert [severity for severity, _ in problems(conn)] == ["error"]
        seen.execute("insert into public.device (name) values ('lost')")
        daemon.await_event("condition_failed")
        assert "seriall" in str(daemon.events("condition_failed")[0]["error"])
        assert [event["hook"] for event in daemon.events("condition_invalid")] == [HOOK]
        seen.execute("alter table public.device add column seriall text")
        wait_until("it is compared again", lambda: is_shown(conn, "valid"))
        assert shown(conn) == ("valid", True, None)

        def delivered() -> bool:
            seen.execute("insert into public.device (name) values ('kept')")
            return deliveries(seen) > 0

        wait_until("it is loaded again", delivered)
        assert daemon.terminate() == 0
    names = seen.execute(
        "select distinct change.postchange ->> 'name' from jobhooks.job_result as result"
        " join jobhooks.object_change as change on change.id = result.change_id"
    ).fetchall()
    assert names == [("kept",)]


def test_other_conditions_end_a_refusal(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """By an edit in SQL, without a restart; and a hook with another table is right for that."""
    add_hook(database, receivers, "r.Sees")
    seen.execute("create table public.site (id integer primary key, code text)")
    seen.execute("select jobhooks.watch('public.site')")
    set_conditions(seen, 'new.code == "1"')
    with contextlib.closing(connect(database)) as conn, Daemon(database, receivers, log).await_started() as daemon:
        wait_until("it is invalid", lambda: is_shown(conn, "invalid"))
        seen.execute("select jobhooks.edit_hook(%s, %s)", [HOOK, '{"content_types": ["public.site"]}'])
        wait_until("it is right for the other table", lambda: is_shown(conn, "valid"))
        set_conditions(seen, "new.code > 1")
        wait_until("a number is no code", lambda: is_shown(conn, "invalid"))
        set_conditions(seen, VALID.replace("serial", "code"))
        wait_until("a text is one", lambda: is_shown(conn, "valid"))
        seen.execute("insert into public.site values (1, '1')")
        wait_until("its change is delivered", lambda: deliveries(seen) == 1)
        assert daemon.terminate() == 0


def test_a_daemon_goes_on_with_conditions_that_a_table_broke(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """Also after a restart: the doctor names the column, and changes that do not need it are delivered."""
    add_hook(database, receivers, "r.Sees")
    with contextlib.closing(connect(database)) as conn:
        hooks.edit_hook(conn, HOOK, {"conditions": 'action == "create" || new.serial == "1"'})
        seen.execute("alter table public.device rename column serial to serial_number")
        with Daemon(database, receivers, log).await_started() as daemon:
            seen.execute("insert into public.device (name) values ('a')")
            wait_until("a create is delivered", lambda: deliveries(seen) == 1)
            seen.execute("update public.device set name = 'b'")
            daemon.await_event("condition_failed")
            assert daemon.terminate() == 0
        assert shown(conn) == ("valid", True, None)
        told = [problem for _, problem in problems(conn)]
        assert [problem for problem in told if "Did you mean serial_number?" in problem]


def test_a_hook_of_an_earlier_version_keeps_running(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """The migration marks conditions that no program had compiled: the daemon leaves out the tables."""
    add_hook(database, receivers, "r.Sees")
    set_conditions(seen, UNKNOWN)
    seen.execute("delete from jobhooks.condition_verdict")
    seen.execute((ROOT / "sql/migrations/0035_conditions_before_tables.sql").read_bytes())
    with contextlib.closing(connect(database)) as conn:
        assert shown(conn)[0] == "unchecked"
        with Daemon(database, receivers, log).await_started() as daemon:
            wait_until("it is compiled", lambda: is_shown(conn, "valid"))
            seen.execute("insert into public.device (name) values ('a')")
            wait_until("it runs", lambda: deliveries(seen) == 1)
            assert daemon.terminate() == 0
        assert [severity for severity, problem in problems(conn) if "seriall" in problem] == ["warning"]


def test_a_locked_hook_is_refused_once_it_is_free(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """The daemon has loaded it by then, and loads it again."""
    add_hook(database, receivers, "r.Sees")
    set_conditions(seen, UNKNOWN)
    with (
        contextlib.closing(connect(database)) as conn,
        contextlib.closing(connect(database)) as other,
        contextlib.ExitStack() as stack,
    ):
        stack.enter_context(other.transaction())
        other.execute("select from jobhooks.job_hook for update")
        with Daemon(database, receivers, log).await_started() as daemon:
            seen.execute("insert into public.device (name) values ('a')")
            wait_until("it runs unchecked", lambda: deliveries(seen) == 1)
            stack.close()
            wait_until("it is refused", lambda: is_shown(conn, "invalid"))
            seen.execute("insert into public.device (name) values ('b')")
            daemon.await_event("condition_failed")
            assert deliveries(seen) == 1
            assert daemon.terminate() == 0
