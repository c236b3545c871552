"""Columns and conditions of hooks: they keep changes from receivers, and a failing one stops nothing else."""

import json
from pathlib import Path

import psycopg
import pytest

from conftest import Connection
from support.daemon import Daemon, wait_until
from support.delivering import backlog, seen_by, settled, write
from support.hooking import add_hook


def set_rule(conn: Connection, job: str, *, columns: str = "{}", conditions: str = "") -> None:
    """Give the hook of a job a rule, by plain SQL."""
    conn.execute(
        "update jobhooks.job_hook set columns = %s, conditions = %s where name = %s",
        [columns, conditions, f"hook of {job}"],
    )


def counted(conn: Connection) -> list[tuple[object, ...]]:
    """Read the counts of failed conditions, by hook."""
    return conn.execute(
        "select hook.name, failure.failures, failure.change_id, failure.invalid, failure.error"
        " from jobhooks.condition_failure as failure join jobhooks.job_hook as hook on hook.id = failure.hook_id"
        " order by hook.name"
    ).fetchall()


def told(conn: Connection) -> list[tuple[str, str, str]]:
    """Read the doctor's problems with hooks."""
    problems = conn.execute("select severity, subject, problem from jobhooks.problems() order by 2, 3").fetchall()
    return [(severity, subject, problem) for severity, subject, problem in problems if subject.startswith("hook")]


def test_conditions_decide_which_changes_run_a_job(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """By the row before, the row after, the action and the user."""
    add_hook(database, receivers, "r.Sees")
    set_rule(
        seen,
        "r.Sees",
        conditions='action == "create" && new.serial.startsWith("1") && user == "alice"'
        ' || action == "update" && changed("serial") && old.serial != null'
        ' || action == "delete" && old.name == "gone"',
    )
    seen.execute("set jobhooks.user_name = 'alice'")
    one, other = write(seen, "a", "1"), write(seen, "b", "2")
    seen.execute("reset jobhooks.user_name")
    write(seen, "c", "1")
    seen.execute("update public.device set name = 'renamed' where id = %s", [one])
    seen.execute("update public.device set serial = null where id = %s", [one])
    seen.execute("update public.device set serial = '3' where id = %s", [one])
    seen.execute("update public.device set name = 'gone', serial = '4' where id = %s", [other])
    seen.execute("delete from public.device")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 4))
        assert daemon.terminate() == 0
    by_object = sorted(seen_by(seen, "Sees"), key=lambda row: row[0] == other)
    assert by_object == [(one, "1"), (one, None), (other, "4"), (other, "4")]
    assert counted(seen) == []


def test_an_update_must_change_one_of_the_columns(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """Other events have no changed columns; an ignored column does not count."""
    seen.execute("alter table public.device add price numeric, add seen timestamptz")
    add_hook(database, receivers, "r.Sees")
    set_rule(seen, "r.Sees", columns="{serial,price,seen}")
    seen.execute("select jobhooks.watch('public.device', ignore => '{seen}')")
    device = write(seen, "a", "created")
    for assignments in (
        "name = 'renamed'",
        "serial = 'new'",
        "name = 'again', seen = now()",
        "serial = 'priced', price = 1.0",
        "serial = 'priced', price = 1.00",
        "name = 'once more', price = 1.00",
        "price = null, name = 'last'",
    ):
        seen.execute(f"update public.device set {assignments} where id = %s".encode(), [device])
    seen.execute("delete from public.device")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 6))
        assert daemon.terminate() == 0
    assert [value for _, value in seen_by(seen, "Sees")] == ["created", "new", "priced", "priced", "priced", "priced"]
    assert counted(seen) == []


def test_a_condition_that_fails_is_counted_and_told_and_stops_no_other_hook(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Sees", ["create", "update", "delete"])
    add_hook(database, receivers, "r.SeesNow", ["create", "update", "delete"])
    set_rule(seen, "r.Sees", conditions='new.name == "good"')
    for name in ("good", "bad"):
        write(seen, name, 1)
    seen.execute("delete from public.device")
    with Daemon(database, receivers, log) as daemon:
        wait_until("all is settled", settled(seen, 1 + 4))
        wait_until("it is counted", lambda: counted(seen))
        ((hook, failures, change, invalid, error),) = counted(seen)
        assert (hook, failures, change, invalid) == ("hook of r.Sees", 2, 4, False)
        assert "new" in str(error)
        seen.execute("insert into public.device (name, serial) values ('late', '1')")
        seen.execute("delete from public.device")
        wait_until("the next is added", lambda: counted(seen)[0][1:3] == (3, 6))
        assert daemon.terminate() == 0
        (event,) = daemon.events("condition_failed")
        assert (event["level"], event["hook"], event["change"], event["action"]) == (
            "warning",
            "hook of r.Sees",
            3,
            "delete",
        ), "once a minute only"
    ((severity, subject, problem),) = told(seen)
    assert (severity, subject) == ("warning", 'hook "hook of r.Sees"')
    assert " 3 changes " in problem and "change 6" in problem and str(error) in problem


def test_what_is_not_counted_yet_is_when_the_daemon_ends(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Sees", ["create"])
    set_rule(seen, "r.Sees", conditions="new.nothing == 1")
    with Daemon(database, receivers, log).await_started() as daemon:
        write(seen, "a", 1)
        daemon.await_event("condition_failed")
        assert daemon.terminate() == 0
    assert [failure[:3] for failure in counted(seen)] == [("hook of r.Sees", 1, 1)]


def test_other_conditions_begin_to_count_anew(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """And other changes of the hook do not."""
    add_hook(database, receivers, "r.Sees", ["create"])
    set_rule(seen, "r.Sees", conditions="new.nothing == 1")
    with Daemon(database, receivers, log):
        write(seen, "a", 1)
        wait_until("it is counted", lambda: counted(seen))
        seen.execute("update jobhooks.job_hook set description = 'another'")
        assert counted(seen)
        set_rule(seen, "r.Sees", conditions='new.name == "b"')
        assert counted(seen) == []
        good = write(seen, "b", 2)
        wait_until("it is delivered", settled(seen, 1))
    assert seen_by(seen, "Sees") == [(good, "2")]
    assert counted(seen) == []
    assert told(seen) == []


def test_invalid_conditions_that_came_past_the_checks_let_nothing_pass_and_are_told_at_once(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    """A role that may write the table may write any text there, and the daemon continues."""
    invalid = ["new.name ==", "'no boolean'", "(" * 5_000, " ", "x" * 20_000, "new.name = \n'a'"]
    names = [f"invalid {number}" for number in range(len(invalid))]
    for job in ("r.Sees", "r.SeesNow"):
        add_hook(database, receivers, job, ["create"])
    seen.execute("select jobhooks.delete_hook('hook of r.Sees')")
    for name, conditions in zip(names, invalid, strict=True):
        add = "select jobhooks.add_hook(%s, '{public.device}', '{create}', 'r.Sees', conditions => %s)"
        seen.execute(add, [name, f"new.name == '{name}'"])
        seen.execute("update jobhooks.job_hook set conditions = %s where name = %s", [conditions, name])
    with Daemon(database, receivers, log) as daemon:
        wait_until("all are told before there is a change", lambda: len(counted(seen)) == len(names))
        errors = {str(name): str(error) for name, _, _, _, error in counted(seen)}
        assert all(error.startswith("invalid conditions") and "\n" not in error for error in errors.values())
        assert [row[:4] for row in counted(seen)] == [(name, 0, None, True) for name in names]
        problems = told(seen)
        assert [severity for severity, _, _ in problems] == ["error"] * len(names)
        for name, (_, subject, problem) in zip(names, problems, strict=True):
            assert name in subject and problem.endswith(errors[name])
        good = write(seen, "a", 1)
        wait_until("the other one gets it", settled(seen, 1))
        wait_until("all are counted", lambda: [row[1:4] for row in counted(seen)] == [(1, 1, True)] * len(names))
        assert daemon.terminate() == 0
        assert sorted(str(event["hook"]) for event in daemon.events("condition_invalid")) == names
    assert seen_by(seen, "SeesNow") == [(good, "1")]
    assert backlog(seen) == []


def test_a_column_that_was_renamed_fails_and_is_told(
    seen: Connection, database: str, receivers: Path, log: Path
) -> None:
    add_hook(database, receivers, "r.Sees", ["update"])
    add_hook(database, receivers, "r.SeesNow", ["update"])
    set_rule(seen, "r.Sees", conditions='changed("serial")')
    set_rule(seen, "r.SeesNow", columns="{serial}")
    device = write(seen, "a", 1)
    with Daemon(database, receivers, log) as daemon:
        seen.execute("update public.device set serial = '2'")
        wait_until("both saw it", settled(seen, 2))
        seen.execute("alter table public.device rename serial to number")
        seen.execute("update public.device set number = '3'")
        wait_until("it is counted", lambda: counted(seen))
        assert daemon.terminate() == 0
    ((*failure, error),) = [failure[1:] for failure in counted(seen)]
    assert failure == [1, 3, False] and '"serial"' in str(error)
    assert [(subject, "serial" in problem) for _, subject, problem in told(seen)] == [
        ('hook "hook of r.Sees"', True),
        ('hook "hook of r.SeesNow"', True),
    ]
    assert seen_by(seen, "Sees") == [(device, "2")]


def test_rows_are_in_no_line_of_the_log(seen: Connection, database: str, receivers: Path, log: Path) -> None:
    """The table has the whole reason; who may read it may read the rows."""
    add_hook(database, receivers, "r.Sees", ["create"])
    set_rule(seen, "r.Sees", conditions='{"a": 1}[new.name] == 1')
    with Daemon(database, receivers, log) as daemon:
        write(seen, "secret", 1)
        wait_until("it is counted", lambda: counted(seen))
        assert daemon.terminate() == 0
        assert "secret" not in daemon.words()
    assert '"secret"' in str(counted(seen)[0][4])


# How it is written down.


def noted(conn: Connection, hook_id: int, failures: int, change_id: int | None, conditions: str = "c") -> bool:
    rows = [
        {
            "hook_id": hook_id,
            "conditions": conditions,
            "failures": failures,
            "change_id": change_id,
            "invalid": change_id is None,
            "error": f"of {change_id}",
        }
    ]
    row = conn.execute("select jobhooks.note_condition_failures(%s)", [json.dumps(rows)]).fetchone()
    assert row is not None
    return row[0]


def test_only_failures_of_the_conditions_that_a_hook_has_are_counted(hooked: Connection) -> None:
    hooked.execute("update jobhooks.job_hook set conditions = 'c'")
    assert noted(hooked, 1, 0, None)
    assert noted(hooked, 1, 2, 7)
    assert noted(hooked, 1, 3, 9)
    assert noted(hooked, 1, 5, 11, "others")
    assert noted(hooked, 2, 5, 11)
    assert counted(hooked) == [("h", 5, 9, False, "of 9")]
    assert noted(hooked, 1, 0, None), "told again when the daemon starts"
    assert counted(hooked) == [("h", 5, 9, True, "of None")]
    hooked.execute("delete from jobhooks.job_hook")
    assert hooked.execute("select from jobhooks.condition_failure").fetchall() == []


def test_the_daemon_may_count_and_who_may_change_a_hook_begins_anew(hooked: Connection) -> None:
    """With the roles' own privileges."""
    hooked.execute("set role jobhooks_operator")
    hooked.execute("update jobhooks.job_hook set conditions = 'c'")
    hooked.execute("set role jobhooks_daemon")
    assert noted(hooked, 1, 2, 7) and noted(hooked, 1, 2, 8)
    assert counted(hooked) == [("h", 4, 8, False, "of 8")]
    hooked.execute("set role jobhooks_operator")
    hooked.execute("update jobhooks.job_hook set conditions = 'd'")
    hooked.execute("set role jobhooks_viewer")
    assert counted(hooked) == []


@pytest.mark.parametrize("counted_before", [True, False])
def test_who_changes_a_hook_is_not_waited_for(hooked: Connection, counted_before: bool) -> None:
    """A session has an open transaction that deletes the hook; the daemon still settles other deliveries."""
    hooked.execute("update jobhooks.job_hook set conditions = 'c'")
    if counted_before:
        assert noted(hooked, 1, 1, 3)
    with psycopg.connect(hooked.info.dsn) as operator:
        operator.execute("delete from jobhooks.job_hook")
        assert not noted(hooked, 1, 1, 4)
        operator.rollback()
        assert noted(hooked, 1, 1, 4)
        operator.execute("update jobhooks.job_hook set conditions = 'd'")
        operator.execute("set constraints all immediate")
        assert not noted(hooked, 1, 1, 5)
        operator.commit()
    assert noted(hooked, 1, 1, 5)
    assert counted(hooked) == []
