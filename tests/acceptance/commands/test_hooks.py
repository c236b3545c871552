"""``jobhooks hook`` and ``jobhooks job`` as a person, or a program, runs them."""

import contextlib
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import CheckViolation

from conftest import Connection
from jobhooks.errors import HookConflict, JobhooksError, Refused
from jobhooks.matching.hook_settings import DEFAULTS
from jobhooks.operations.configuration import hook_file
from jobhooks.operations.configuration.hook_plan import carry_out, in_file, plan
from jobhooks.operations.configuration.hooks import change_all, hooks
from jobhooks.store.connections import SyncConnection, connect
from support.daemon import Daemon, jobhooks, on_a_terminal, wait_until
from support.hooking import add_hook, write_receivers

REFUSED, USAGE = 5, 2


@pytest.fixture
def jobs(device: Connection) -> Connection:
    """The client, with two jobs that are on, one that is not and is hidden, and a second watched table."""
    device.execute("create table public.site (id integer primary key, place text)")
    device.execute("select jobhooks.watch('public.site')")
    device.execute(
        "insert into jobhooks.job (class_path, enabled, settings) values"
        """ ('a.On', true, '{"grouping": "z"}'), ('a.Too', true, '{"grouping": "a"}'),"""
        """ ('a.Off', false, '{"hidden": true}')"""
    )
    return device


def run(database: str, *arguments: str, code: int = 0, cwd: Path | None = None) -> tuple[str, str]:
    finished = jobhooks(*arguments, cwd=cwd, JOBHOOKS_DATABASE_URL=database)
    assert finished.returncode == code, finished.stderr
    assert "Traceback" not in finished.stderr
    return finished.stdout, finished.stderr


def shown(database: str, *arguments: str) -> Any:
    return json.loads(run(database, *arguments, "--json")[0])


def test_a_hook_is_added_with_all_that_it_can_be_shown_and_edited(jobs: Connection, database: str) -> None:
    table, site = ["--content-type", "public.device"], ["--content-type", "public.site"]
    more = [
        "--column",
        "name",
        "--column",
        "place",
        "--conditions",
        "true",
        "--coalesce",
        "transaction",
        "--priority",
        "7",
        "--roles",
        f"pg_monitor, {jobs.info.user}",
    ]
    run(database, "hook", "add", "h", *table, *site, "--events", "update,create", "--job", "a.On", *more)
    hook = shown(database, "hook", "show", "h")
    assert hook == {
        **DEFAULTS,
        "name": "h",
        "content_types": ["public.device", "public.site"],
        "job": "a.On",
        "events": ["create", "update"],
        "enabled": True,
        "priority": 7,
        "description": "",
        "columns": ["name", "place"],
        "conditions": "true",
        "roles": sorted(["pg_monitor", jobs.info.user]),
        "coalesce_s": 0.0,
        "runs": True,
        "why_not": None,
        "condition_failures": 0,
        "condition_error": None,
        "deliveries": {},
        "condition_state": "valid",
        "keys_at_rate": 0,
        "next_at": None,
        "data_state": None,
        "data_error": None,
        "loaded": None,
        "chain_ends": 0,
        "chain_end_change_id": None,
    }
    edit = ["--name", "i", *table, "--column", "", "--coalesce", "90", "--priority", "7"]
    edited = {**hook, "name": "i", "content_types": ["public.device"], "columns": [], "coalesce_s": 90.0}
    assert shown(database, "hook", "edit", "h", *edit) == edited
    assert shown(database, "hook", "edit", "i", "--coalesce", "90") == edited
    assert [change["action"] for change in shown(database, "hook", "history", "i")] == ["create", "update"]
    jobs.execute("update jobhooks.job set enabled = false where class_path = 'a.On'")
    off = shown(database, "hook", "show", "i")
    assert not off["runs"] and "jobhooks job enable a.On" in off["why_not"]
    run(database, "hook", "edit", "i", code=USAGE)
    run(database, "hook", "edit", "i", "--coalesce", "nan", code=USAGE)
    run(database, "hook", "edit", "i", "--column", "no", code=REFUSED)
    run(database, "hook", "show", "h", code=REFUSED)


def test_a_hook_is_debounced(jobs: Connection, database: str) -> None:
    """By a flag with a unit, by a file, and in the history; contradictions are refused."""
    add = ["hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On"]
    run(database, *add, "--longest-wait", "1min", code=REFUSED)
    run(database, *add, "--debounce", "2min", "--longest-wait", "1min", code=REFUSED)
    run(database, *add, "--debounce", "5s", "--coalesce", "transaction", code=REFUSED)
    for wrong in ("soon", "0", "25h", "-1s", "5 weeks"):
        run(database, *add, "--debounce", wrong, code=USAGE)
    added = shown(database, *add, "--debounce", "1500ms", "--longest-wait", "1min")
    assert (added["debounce_s"], added["longest_wait_s"], added["coalesce_s"]) == (1.5, 60.0, None)
    exported = run(database, "hook", "export")[0]
    assert "debounce = 1.5\n" in exported and "longest_wait = 60.0\n" in exported
    run(database, "hook", "edit", "h", "--debounce", "none", code=REFUSED)
    edited = shown(database, "hook", "edit", "h", "--debounce", "none", "--longest-wait", "none", "--coalesce", "3")
    assert edited == {**added, "debounce_s": None, "longest_wait_s": None, "coalesce_s": 3.0}
    changes = shown(database, "hook", "history", "h")
    assert [change["action"] for change in changes] == ["create", "update"]


def test_a_hook_merges_the_changes_of_a_request(jobs: Connection, database: str) -> None:
    """By a flag, by a file and by SQL, with the wait that it names or the default."""
    add = ["hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On"]
    added = shown(database, *add, "--coalesce", "request")
    assert (added["coalesce_s"], added["debounce_s"]) == (-1.0, None)
    assert 'coalesce = "request"\n' in run(database, "hook", "export")[0]
    assert shown(database, "hook", "edit", "h", "--debounce", "200ms") == {**added, "debounce_s": 0.2}
    run(database, "hook", "edit", "h", "--coalesce", "transaction", code=REFUSED)
    with pytest.raises(CheckViolation):
        jobs.execute("update jobhooks.job_hook set coalesce_s = -2, debounce_s = null")


def test_a_hook_is_paused_and_resumed_by_commands_by_a_file_and_by_sql(
    jobs: Connection, database: str, tmp_path: Path
) -> None:
    """Everything that shows a hook shows that. It stays enabled, unlike a disabled one."""

    def states() -> tuple[object, ...]:
        (listed,) = shown(database, "hook", "list")
        status = json.loads(run(database, "status", "--json", code=1)[0])  # no daemon leads
        behind = [(hook["hook"], hook["paused"]) for hook in status["lagging_hooks"]]
        return listed["enabled"], listed["paused"], listed["runs"], behind

    run(database, "hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On")
    assert states() == (True, False, True, [])
    assert shown(database, "hook", "pause", "h") == [{"hook": "h", "paused": True}]
    assert states() == (True, True, False, [("h", True)])
    assert "jobhooks hook resume" in shown(database, "hook", "show", "h")["why_not"]
    file = tmp_path / "hooks.toml"
    file.write_text(run(database, "hook", "export")[0])
    assert "paused = true\n" in file.read_text()
    run(database, "hook", "resume", "h")
    assert states() == (True, False, True, [])
    run(database, "hook", "apply", str(file), "--yes")
    assert states() == (True, True, False, [("h", True)])
    jobs.execute("select jobhooks.pause_hook('h', false)")
    assert states() == (True, False, True, [])
    assert len(shown(database, "hook", "history", "h")) == 5


def test_a_hook_has_a_rate(jobs: Connection, database: str) -> None:
    """By flags, by a file, and in the history; a text that is no rate is refused."""
    add = ["hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On"]
    for wrong in (["30"], ["0/min"], ["30/m"], ["30/min", "--rate-per", "nme"]):
        run(database, *add, "--rate", *wrong, code=REFUSED)
    run(database, *add, "--rate-per", "name", code=REFUSED)
    added = shown(database, *add, "--rate", "30/min", "--rate-per", "serial, name")
    assert (added["rate"], added["rate_per"], added["keys_at_rate"], added["next_at"]) == (
        "30/min",
        ["name", "serial"],
        0,
        None,
    )
    exported = run(database, "hook", "export")[0]
    assert 'rate = "30/min"\n' in exported and 'rate_per = ["name", "serial"]\n' in exported
    run(database, "hook", "edit", "h", "--rate", "", code=REFUSED)
    assert shown(database, "hook", "edit", "h", "--rate-per", "object")["rate_per"] == ["object"]
    jobs.execute(
        "insert into jobhooks.rate_bucket select hook.id, key, now() + seconds * interval '1 s'"
        " from jobhooks.job_hook as hook, (values (5, 10), (6, 1)) as used (key, seconds)"
    )
    waiting = shown(database, "hook", "show", "h")
    assert (waiting["keys_at_rate"], waiting["next_at"] is None) == (1, False)
    assert "1 key has used the rate of 30/min" in run(database, "hook", "show", "h")[0]
    assert "30/min" in run(database, "hook", "list")[0]
    edited = shown(database, "hook", "edit", "h", "--rate", "20/min")
    assert (edited["keys_at_rate"], edited["next_at"]) == (0, None), "the daemon begins it anew, and waits for nothing"
    jobs.execute("insert into jobhooks.rate_bucket select id, 5, now() + interval '1 day' from jobhooks.job_hook")
    edited = shown(database, "hook", "edit", "h", "--description", "Paced")
    assert edited["keys_at_rate"] == 1, "another setting leaves it as it is"
    edited = shown(database, "hook", "edit", "h", "--rate", "", "--rate-per", "")
    assert (edited["rate"], edited["rate_per"], edited["keys_at_rate"]) == ("", [], 0)
    assert jobs.execute("select * from jobhooks.rate_bucket").fetchall() == []


def test_a_hook_has_a_chain_depth(jobs: Connection, database: str) -> None:
    """By a flag, by a file, and in the history; a number out of range is refused. A reached limit is shown."""
    add = ["hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On"]
    run(database, *add, "--chain-depth", "11", code=REFUSED)
    run(database, *add, "--chain-depth", "one", code=USAGE)
    assert shown(database, *add, "--chain-depth", "2")["chain_depth"] == 2
    assert "chain_depth = 2\n" in run(database, "hook", "export")[0]
    jobs.execute("insert into jobhooks.chain_end (hook_id, changes, change_id) select id, 3, 17 from jobhooks.job_hook")
    ended = shown(database, "hook", "show", "h")
    assert (ended["chain_ends"], ended["chain_end_change_id"]) == (3, 17)
    assert "change 17" in run(database, "hook", "show", "h")[0]
    edited = shown(database, "hook", "edit", "h", "--chain-depth", "0")
    assert (edited["chain_depth"], edited["chain_ends"]) == (0, 0)
    changed = shown(database, "hook", "history", "h")[-1]
    assert (changed["before"]["chain_depth"], changed["after"]["chain_depth"]) == (2, 0)


def test_a_hook_with_pending_deliveries_is_deleted_only_after_confirmation(jobs: Connection, database: str) -> None:
    run(database, "hook", "add", "h", "--content-type", "public.device", "--events", "update", "--job", "a.On")
    jobs.execute(
        "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status, due_at) values"
        " (1, 1, 1, 'dead', null), (2, 1, 1, 'waiting', now())"
    )
    jobs.execute("select jobhooks.advance_sequence()")
    run(database, "hook", "delete", "h", code=REFUSED)
    assert shown(database, "hook", "show", "h")["deliveries"] == {"blocked": 1, "dead": 1}
    assert shown(database, "hook", "delete", "h", "--yes") == {"hook": "h", "discarded": 2}
    history = shown(database, "hook", "history", "h")
    assert [(change["action"], change["user"]) for change in history] == [
        ("create", jobs.info.user),
        ("delete", jobs.info.user),
    ]


def apply(conn: SyncConnection, file: Path) -> None:
    """Make the hooks those of a file, as ``hook apply --yes`` does."""
    before = hooks(conn)
    carry_out(conn, before, plan(conn, before, [in_file(conn, hook) for hook in hook_file.read(file) or []]))


HOOKS = """
[[hook]]
name = "Devices"
content_types = ["public.device"]
job = "a.On"
events = ["create", "update"]
columns = ["serial", "name"]
coalesce = "transaction"

[[hook]]
name = "Sites"
content_types = ['"public"."site"']
job = "a.Too"
events = ["delete"]
enabled = false
description = "Says \\"gone\\"\\nand why"
priority = 2
"""


def test_tables_and_hooks_are_those_of_one_file(jobs: Connection, database: str, tmp_path: Path) -> None:
    """A table can be watched and hooked by one file, and is unwatched only with the flag."""
    jobs.execute("create table public.rack (id integer primary key, place text)")
    file = tmp_path / "hooks.toml"
    hook = '[[hook]]\nname = "Racks"\ncontent_types = ["rack"]\njob = "a.On"\nevents = ["create"]\n'
    file.write_text('[[table]]\nname = "rack"\nignore = ["place"]\n' + hook)
    planned = shown(database, "hook", "apply", str(file), "--dry-run")
    assert [(step["type"], step["kind"], step["name"]) for step in planned] == [
        ("table", "add", "public.rack"),
        ("hook", "add", "Racks"),
    ]
    assert [table["table"] for table in shown(database, "table", "list")] == ["public.device", "public.site"]
    assert shown(database, "hook", "apply", str(file), "--yes") == planned
    exported = shown(database, "hook", "export")
    assert [(table["name"], table.get("ignore")) for table in exported["table"]] == [
        ("public.device", None),
        ("public.rack", ["place"]),
        ("public.site", None),
    ]
    (tmp_path / "hooks.json").write_text(json.dumps(exported))
    for path in (file, tmp_path / "hooks.json"):
        assert shown(database, "hook", "apply", str(path)) == []
    run(database, "hook", "apply", str(file), "--unwatch", "--yes")
    watched = [table["table"] for table in shown(database, "table", "list") if table["state"] == "watched"]
    assert watched == ["public.rack"]


def test_the_hooks_are_made_those_of_a_file_and_exported_as_the_same(
    jobs: Connection, database: str, tmp_path: Path
) -> None:
    """It shows added, changed (with old and new values) and deleted hooks; applying an export changes nothing."""
    file = tmp_path / "hooks.toml"
    file.write_text(HOOKS)
    for name, job in (("Devices", "a.Too"), ("Gone", "a.On")):
        jobs.execute("select jobhooks.add_hook(%s, '{public.device}', '{create}', %s)", [name, job])
    jobs.execute("insert into jobhooks.delivery (change_id, hook_id, content_type_id, status) values (1, 2, 1, 'dead')")
    jobs.execute("select jobhooks.advance_sequence()")
    before = jobs.execute("select * from jobhooks.hooks order by id").fetchall()
    plan = shown(database, "hook", "apply", str(file), "--dry-run")
    assert [(step["kind"], step["name"], step["deliveries"]) for step in plan] == [
        ("delete", "Gone", 1),
        ("edit", "Devices", 0),
        ("add", "Sites", 0),
    ]
    differences = [[*difference.values()] for difference in plan[1]["differences"]]
    assert differences == [
        ["job", "a.Too", "a.On"],
        ["events", ["create"], ["create", "update"]],
        ["columns", [], ["name", "serial"]],
        ["coalesce", None, "transaction"],
    ]
    run(database, "hook", "apply", str(file), code=REFUSED)
    assert jobs.execute("select * from jobhooks.hooks order by id").fetchall() == before
    assert shown(database, "hook", "apply", str(file), "--yes") == plan
    exported, _ = run(database, "hook", "export")
    file.write_text(exported)
    assert shown(database, "hook", "apply", str(file)) == []
    written = {hook["name"]: hook for hook in tomllib.loads(exported)["hook"]}
    assert (written["Devices"]["columns"], written["Devices"]["coalesce"]) == (["name", "serial"], "transaction")
    assert (written["Sites"]["enabled"], written["Sites"]["description"]) == (False, 'Says "gone"\nand why')
    assert jobs.execute("select name, enabled, coalesce_s from jobhooks.hooks order by name").fetchall() == [
        ("Devices", True, 0.0),
        ("Sites", False, None),
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('job = "a.On"', 'job = "a.Off"'),
        ('"serial"', '"place"'),
        ('["public.device"]', '["public.none"]'),
        ('["public.device"]', '["a..b"]'),
        ('["delete"]', '["rename"]'),
        ('["delete"]', "[]"),
        ("enabled = false", "enabled = 0"),
        ('"a.Too"', '"a.None"'),
        ("priority = 2", "conditions = 'new.name = 1'"),
    ],
)
def test_a_file_with_a_mistake_changes_nothing(
    jobs: Connection, database: str, tmp_path: Path, old: str, new: str
) -> None:
    """All is done or nothing."""
    file = tmp_path / "hooks.toml"
    assert old in HOOKS
    file.write_text(HOOKS.replace(old, new))
    with contextlib.closing(connect(database)) as conn, pytest.raises(JobhooksError):
        apply(conn, file)
    assert jobs.execute("select name from jobhooks.job_hook").fetchall() == []


def test_conditions_that_do_not_fit_the_tables_are_refused_and_found(
    jobs: Connection, database: str, tmp_path: Path
) -> None:
    """With the nearest column: on the command line, in a file, and by the doctor after the table changed."""
    add = ["hook", "add", "h", "--content-type", "device", "--events", "update", "--job", "a.On", "--conditions"]
    assert "Did you mean serial?" in run(database, *add, "new.seriall == '1'", code=REFUSED)[1]
    run(database, *add, "new.serial == '1'")
    refused = run(database, "hook", "edit", "h", "--conditions", "new.serial > 1", code=REFUSED)[1]
    assert 'cannot save hook "h"' in refused and "new.serial (text)" in refused
    file = tmp_path / "hooks.toml"
    file.write_text(run(database, "hook", "export")[0].replace("new.serial", "new.seriall"))
    assert "Did you mean serial?" in run(database, "hook", "apply", str(file), "--yes", code=REFUSED)[1]
    assert shown(database, "hook", "show", "h")["conditions"] == "new.serial == '1'"
    jobs.execute("alter table public.device rename column serial to serial_number")
    finished = jobhooks("doctor", "--json", JOBHOOKS_DATABASE_URL=database)
    (found,) = [each for each in json.loads(finished.stdout) if "do not fit" in each["problem"]]
    assert (found["severity"], found["subject"]) == ("warning", 'hook "h"')
    assert "Did you mean serial_number?" in found["problem"]
    assert found["remedy"] == "jobhooks hook edit h --conditions EXPRESSION"


def test_invalid_conditions_are_saved_by_no_command(jobs: Connection, database: str) -> None:
    """Nor by apply, see above."""
    add = ["hook", "add", "--content-type", "public.device", "--events", "delete", "--job", "a.On"]
    run(database, *add, "h")
    run(database, *add[:-1], "a.Too", "h2", "--conditions", "new.name = 1", code=REFUSED)
    run(database, "hook", "edit", "h", "--conditions", "new.name = 1", code=REFUSED)
    assert jobs.execute("select name, conditions from jobhooks.job_hook").fetchall() == [("h", "")]


def test_hooks_may_swap_in_a_file_and_cannot_be_in_conflict_there(
    jobs: Connection, database: str, tmp_path: Path
) -> None:
    file = tmp_path / "hooks.toml"
    hook = '[[hook]]\nname = "{}"\ncontent_types = ["public.device"]\njob = "a.On"\nevents = ["{}"]\n'
    with contextlib.closing(connect(database)) as conn:
        for first, second in (("create", "update"), ("update", "create")):
            file.write_text(hook.format("one", first) + hook.format("two", second))
            apply(conn, file)
        file.write_text(hook.format("one", "update") + hook.format("two", "update"))
        with pytest.raises(HookConflict):
            apply(conn, file)
    assert jobs.execute("select name, events from jobhooks.hooks order by name").fetchall() == [
        ("one", ["update"]),
        ("two", ["create"]),
    ]


def test_what_was_changed_while_a_person_thought_is_not_overwritten(jobs: Connection, database: str) -> None:
    """A plan is for the hooks that it was made for."""
    with contextlib.closing(connect(database)) as conn:
        seen = hooks(conn)
        jobs.execute("select jobhooks.add_hook('new', '{public.device}', '{create}', 'a.On')")
        with pytest.raises(Refused):
            change_all(conn, seen, [lambda: conn.execute("delete from jobhooks.job_hook")])
    assert [hook.name for hook in hooks(jobs)] == ["new"]


def test_a_file_without_hooks_deletes_no_hook(jobs: Connection, database: str, tmp_path: Path) -> None:
    """A file with tables alone, and an empty one that a failed program left. An empty list deletes them."""
    jobs.execute("select jobhooks.add_hook('h', '{public.device}', '{create}', 'a.On')")
    file = tmp_path / "hooks.toml"
    for text in ("", '[[table]]\nname = "public.device"\n'):
        file.write_text(text)
        finished = jobhooks("hook", "apply", str(file), "--yes", "--json", "--database-url", database)
        assert (finished.returncode, json.loads(finished.stdout)) == (0, [])
        assert "1 hook stays as before" in finished.stderr
    file.write_text("hook = []\n")
    deleted = shown(database, "hook", "apply", str(file), "--yes")
    assert [(step["kind"], step["name"]) for step in deleted] == [("delete", "h")]
    assert hooks(jobs) == []


def test_apply_asks_on_a_terminal(jobs: Connection, database: str, tmp_path: Path) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(HOOKS)
    for answer, code, count in (("n\n", 1, 0), ("y\n", 0, 2)):
        ended, words = on_a_terminal(answer, "hook", "apply", str(file), "--database-url", database)
        assert ended == code, words
        assert len(hooks(jobs)) == count


def test_a_job_is_set_shown_and_reset(jobs: Connection, database: str) -> None:
    settings = ["max-attempts=5", "time_limit=2.5", "soft_time_limit=3", "order_by=site_id, rack", "hidden=no"]
    job = shown(database, "job", "set", "a.On", *settings)
    assert job["overridden"] == ["hidden", "soft_time_limit", "time_limit", "max_attempts", "order_by"]
    assert job["settings"]["order_by"] == ["site_id", "rack"] and job["receiver"]["order_by"] == "object"
    assert shown(database, "job", "show", "a.On") == job
    for no_limit in ("none", "null"):
        run(database, "job", "set", "a.On", f"time_limit={no_limit}")
    assert shown(database, "job", "reset", "a.On", "time_limit", "queue")["reset"] == ["time_limit"]
    assert shown(database, "job", "show", "a.On")["settings"]["time_limit"] is None
    run(database, "job", "reset", "a.On")
    assert shown(database, "job", "show", "a.On")["overridden"] == []
    for setting, code in (
        ("max_attempts=many", REFUSED),
        ("time_limit=nan", REFUSED),
        ("colour=red", REFUSED),
        ("max_attempts", USAGE),
    ):
        run(database, "job", "set", "a.On", setting, code=code)
    assert shown(database, "job", "show", "a.On")["overridden"] == []
    for command in (["show"], ["set", "--"], ["reset"], ["history"]):
        arguments = ["max_attempts=5"] if command[0] == "set" else []
        assert "a.None" in run(database, "job", command[0], "a.None", *arguments, code=REFUSED)[1]
    history = shown(database, "job", "history", "a.On")
    assert {(change["action"], change["user"]) for change in history[1:]} == {("update", jobs.info.user)}
    assert history[1]["after"]["overrides"]["max_attempts"] == 5


def test_jobs_are_listed_by_their_grouping_and_hidden_ones_if_asked_for(jobs: Connection, database: str) -> None:
    ours = [job["job"] for job in shown(database, "job", "list") if job["job"].startswith("a.")]
    assert ours == ["a.Too", "a.On"]
    ours = [job["job"] for job in shown(database, "job", "list", "--all") if job["job"].startswith("a.")]
    assert ours == ["a.Off", "a.Too", "a.On"]


def test_an_operator_does_all_of_it_and_a_viewer_looks(
    jobs: Connection, database: str, role: str, tmp_path: Path
) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(HOOKS)
    theirs = make_conninfo(database, user=role)
    jobs.execute(f"grant jobhooks_viewer to {role}".encode())
    jobs.execute("select jobhooks.add_hook('h', '{public.device}', '{delete}', 'a.On')")
    for looks in (
        ["hook", "list"],
        ["hook", "show", "h"],
        ["hook", "history"],
        ["hook", "export"],
        ["hook", "apply", str(file), "--dry-run"],
        ["job", "list"],
        ["job", "show", "a.On"],
        ["job", "history"],
    ):
        run(theirs, *looks)
    changes = (
        ["hook", "disable", "h"],
        ["hook", "enable", "h"],
        ["hook", "edit", "h", "--description", "d"],
        ["hook", "apply", str(file), "--yes"],
        ["hook", "delete", "Sites"],
        ["hook", "add", "i", "--content-type", "public.site", "--events", "update", "--job", "a.On"],
        ["job", "disable", "a.On"],
        ["job", "enable", "a.On"],
        ["job", "set", "a.On", "queue=slow"],
        ["job", "reset", "a.On"],
    )
    for change in changes[:4] + changes[-3:]:
        run(theirs, *change, code=REFUSED)
    jobs.execute(f"grant jobhooks_operator to {role}".encode())
    for change in changes:
        run(theirs, *change)
    jobs.execute("insert into jobhooks.job (class_path, settings, installed) values ('a.Gone', '{}', false)")
    assert shown(theirs, "job", "delete", "a.Gone") == {"job": "a.Gone", "deleted": True}
    users = jobs.execute("select distinct user_name from jobhooks.configuration_change where name <> 'h'").fetchall()
    assert (role,) in users


SEES = """
from jobhooks import JobHookReceiver

class {0}(JobHookReceiver):
    async def receive_job_hook(self, change):
        if (name := change.postchange["name"]) == "fail" and "{0}" == "Sees":
            raise ValueError
        await self.connection.execute("insert into public.seen values ($1, '{0}')", name)
"""


def test_a_running_daemon_goes_by_what_is_set_edited_and_deleted(
    device: Connection, database: str, tmp_path: Path
) -> None:
    """Without a restart; one that starts again with the same receivers is no change of a job, and drops old history."""
    device.execute("create table public.seen (name text, job text)")
    receivers = write_receivers(tmp_path / "receivers", SEES.format("Sees") + SEES.format("Witness"))
    for job in ("r.Sees", "r.Witness"):
        add_hook(database, receivers, job, ["update"])
    log = tmp_path / "log"

    def update(name: str) -> None:
        """Make a change, and wait until the daemon has read it and found the hooks that it is for."""
        device.execute("update public.device set name = %s", [name])
        wait_until("it is read", lambda: name in seen("Witness"))

    def seen(job: str) -> list[object]:
        return [name for (name,) in device.execute("select name from public.seen where job = %s order by name", [job])]

    with Daemon(database, receivers, log).await_started() as daemon:
        update("a")
        wait_until("it is seen", lambda: seen("Sees") == ["a"])
        device.execute("""select jobhooks.edit_hook('hook of r.Sees', '{"events": ["delete"]}')""")
        update("b")
        device.execute("""select jobhooks.edit_hook('hook of r.Sees', '{"events": ["update"]}')""")
        device.execute("""select jobhooks.set_job('r.Sees', '{"max_attempts": 1}')""")
        update("fail")
        dead = "select status, attempts from jobhooks.delivery"
        wait_until("it is dead", lambda: device.execute(dead).fetchall() == [("dead", 1)])
        device.execute("select jobhooks.delete_hook('hook of r.Sees')")
        update("c")
        add_hook(database, receivers, "r.Sees", ["update"])
        update("d")
        wait_until("the new hook's is seen", lambda: "d" in seen("Sees"))
        assert daemon.terminate() == 0
    recorded = "select count(*) from jobhooks.configuration_change where name = 'r.Sees'"
    before = device.execute(recorded).fetchall()
    device.execute(
        "insert into jobhooks.configuration_change (time, kind, object_id, name, action, user_name, before)"
        " values ('2001-02-03', 'hook', 999, 'gone', 'delete', 'alice', '{}')"
    )
    old = "select from jobhooks.configuration_change where name = 'gone'"
    with Daemon(database, receivers, log).await_started() as daemon:
        wait_until("what is old is dropped", lambda: device.execute(old).fetchall() == [])
        assert daemon.terminate() == 0
    assert device.execute(recorded).fetchall() == before
    assert seen("Sees") == ["a", "d"] and device.execute(dead).fetchall() == []
