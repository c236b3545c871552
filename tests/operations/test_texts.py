"""The texts of errors that operations raise: which thing, why, and the command that helps.

Other tests of operations assert on the error's class. ``tests/acceptance/test_texts.py`` has the texts of commands.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Connection
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import (
    InvalidName,
    JobhooksError,
    NotWatched,
    Refused,
    UnknownHook,
    UnknownJob,
    UnknownTable,
    with_remedy,
)
from jobhooks.operations.changes import ChangeFilter, newest_changes
from jobhooks.operations.configuration import receivers
from jobhooks.operations.configuration.hooks import hook_details
from jobhooks.operations.configuration.jobs import job_details
from jobhooks.operations.delivering.change_details import change_details
from jobhooks.operations.delivering.deliveries import DeliveryFilter, choose, delivery_details
from jobhooks.operations.delivering.job_run import await_results, queue_job
from jobhooks.operations.delivering.replay import ReplayFilter, plan_replay
from jobhooks.operations.delivering.results import ResultFilter, newest_results, results_of_change
from jobhooks.operations.new_receiver import new_receiver
from jobhooks.operations.tables import table_details, unwatch, watch
from jobhooks.store.connections import SyncConnection

Operation = Callable[[SyncConnection], object]
DEVISE = 'public.devise is not watched, and never was. Did you mean "public.device"? Try: jobhooks table list'
FIRST = 'there is no hook "First". Did you mean "first"? Try: jobhooks hook list'
JOB = 'there is no job a.b. Did you mean "a.B"? Try: jobhooks job list'
NO_CHANGE = (
    "there is no change 99 in the log: it goes from 1 to 4, and numbers can be missing. Try: jobhooks change list"
)
NEAR_TABLE = 'there is no table public.devise. Did you mean "public.device"? Try: jobhooks table {} public.device'
REFUSALS: list[tuple[Operation, type[JobhooksError], str]] = [
    (lambda conn: newest_changes(conn, ChangeFilter(tables=["public.devise"]), 50), NotWatched, DEVISE),
    (lambda conn: choose(conn, DeliveryFilter(tables=["public.devise"])), NotWatched, DEVISE),
    (lambda conn: newest_results(conn, ResultFilter(tables=["public.devise"]), 50), NotWatched, DEVISE),
    (lambda conn: plan_replay(conn, ReplayFilter("first", tables=["public.devise"])), NotWatched, DEVISE),
    (lambda conn: table_details(conn, "public.devise"), NotWatched, DEVISE),
    (lambda conn: watch(conn, "public.devise"), UnknownTable, NEAR_TABLE.format("watch")),
    (lambda conn: unwatch(conn, "public.devise"), UnknownTable, NEAR_TABLE.format("unwatch")),
    (
        lambda conn: watch(conn, "public.Upper Case"),
        UnknownTable,
        "not a valid name of a table: public.Upper Case. Try: jobhooks table watch 'public.\"Upper Case\"'",
    ),
    (lambda conn: choose(conn, DeliveryFilter(hooks=["First"])), UnknownHook, FIRST),
    (lambda conn: newest_results(conn, ResultFilter(hooks=["First"]), 50), UnknownHook, FIRST),
    (lambda conn: plan_replay(conn, ReplayFilter("First")), UnknownHook, FIRST),
    (lambda conn: hook_details(conn, "First"), UnknownHook, FIRST),
    (lambda conn: job_details(conn, "a.b"), UnknownJob, JOB),
    (lambda conn: newest_results(conn, ResultFilter(jobs=["a.b"]), 50), UnknownJob, JOB),
    (lambda conn: queue_job(conn, "a.b", 1), UnknownJob, JOB),
    (lambda conn: queue_job(conn, "a.B", 99), Refused, NO_CHANGE),
    (lambda conn: change_details(conn, 99), Refused, NO_CHANGE),
    (
        lambda conn: choose(conn, DeliveryFilter([99])),
        Refused,
        "no pending delivery matches. Try: jobhooks delivery list",
    ),
    (
        lambda conn: delivery_details(conn, 1, "second"),
        Refused,
        'change 1 has no pending delivery to the hook "second". Try: jobhooks delivery list, or jobhooks change show 1'
        " for its results",
    ),
    (
        lambda conn: results_of_change(conn, 2),
        Refused,
        "change 2 has no result. Try: jobhooks delivery show 2 for its pending deliveries, or jobhooks change show 2",
    ),
    (
        lambda conn: results_of_change(conn, 1, attempt=9),
        Refused,
        "change 1 has no result of that hook and attempt. Try: jobhooks delivery show 1 for its pending deliveries, or"
        " jobhooks change show 1",
    ),
    (
        lambda conn: plan_replay(conn, ReplayFilter("first", change_ids=[1])),
        Refused,
        'nothing to replay: no change matches that is settled, or older than the hook "first", and has no pending'
        " delivery to it. Try: jobhooks delivery list",
    ),
]


@pytest.mark.parametrize(("operation", "kind", "text"), REFUSALS)
def test_a_refusal_names_the_thing_the_reason_and_the_remedy(
    ledger: Connection, admin: SyncConnection, operation: Operation, kind: type[JobhooksError], text: str
) -> None:
    with pytest.raises(JobhooksError) as caught:
        operation(admin)
    assert (type(caught.value), str(caught.value)) == (kind, text)


@pytest.mark.parametrize(
    ("statement", "change", "reason"),
    [
        (
            "update jobhooks.job set enabled = false",
            1,
            "it does not run, because the hook or its job is disabled, the hook is paused, or the job is not installed",
        ),
        (
            "update jobhooks.object_change set triggering = false where id = 1",
            1,
            "a receiver made the change, or a role whose changes trigger nothing",
        ),
        (
            "insert into jobhooks.delivery (change_id, hook_id, content_type_id, status) values (1, 1, 1, 'dead')",
            1,
            "the change is pending for it already; jobhooks delivery retry 1 runs it now",
        ),
        (
            "update jobhooks.job_hook set enabled_since = '1:1:'",
            2,
            "the daemon has yet to read the change, and will deliver it then",
        ),
    ],
)
def test_a_job_that_cannot_run_now_says_why(
    ledger: Connection, admin: SyncConnection, statement: str, change: int, reason: str
) -> None:
    ledger.execute("delete from jobhooks.delivery")
    ledger.execute(statement.encode())
    with pytest.raises(Refused) as caught:
        queue_job(admin, "a.B", change)
    assert caught.value.message == f'cannot run a.B for change {change} now: the hook "first": {reason}'
    assert caught.value.remedy == f"jobhooks change show {change}"


def test_a_job_that_has_not_run_in_time_says_why(ledger: Connection, admin: SyncConnection) -> None:
    ledger.execute("delete from jobhooks.delivery")
    for change, reason in (
        (1, "no daemon runs, or it is busy"),
        (2, "it waits for an older change of the same object, which is pending as well"),
    ):
        with pytest.raises(JobhooksError) as caught:
            await_results(admin, queue_job(admin, "a.B", change), 0)
        assert str(caught.value) == (
            f'the hook "first" has not run in time: {reason}; its delivery stays queued.'
            f" Try: jobhooks delivery show {change}"
        )


@pytest.mark.parametrize(
    ("job", "text"),
    [
        ("shout", "cannot enable job shout: a job is called module.Class, such as shout.Shout"),
        (
            "r.Onne",
            "cannot enable job r.Onne: there is no receiver r.Onne: its module has no receiver Onne."
            ' Did you mean "r.One"?',
        ),
        (
            "other.Two",
            "cannot enable job other.Two: there is no receiver other.Two: no module other with a receiver in DIRECTORY",
        ),
    ],
)
def test_a_job_that_cannot_be_enabled_says_why(admin: SyncConnection, tmp_path: Path, job: str, text: str) -> None:
    (tmp_path / "r.py").write_text("import jobhooks\n\nclass One(jobhooks.JobHookReceiver): pass\n")
    with pytest.raises(UnknownJob) as caught:
        receivers.enable(admin, find_receivers([tmp_path]), job)
    assert str(caught.value).replace(str(tmp_path), "DIRECTORY") == with_remedy(text, "jobhooks receiver list")


def test_a_new_receiver_that_exists_already(tmp_path: Path) -> None:
    new_receiver("check_serial", tmp_path, tmp_path)
    with pytest.raises(InvalidName) as caught:
        new_receiver("check_serial", tmp_path, tmp_path)
    assert str(caught.value) == f"cannot write {tmp_path / 'check_serial.py'}: it exists already. Try: another name"
