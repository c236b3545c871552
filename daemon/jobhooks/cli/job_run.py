"""``jobhooks job run``: a job runs now for a change of the log, by its hooks, and what came of it is shown."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.replay import queue
from jobhooks.cli.show.change_diff import print_heading
from jobhooks.cli.show.deliveries import print_attempt
from jobhooks.cli.show.output import console, print_json, printable, progress, say
from jobhooks.contract.choices import JobResultStatus
from jobhooks.errors import JobhooksError, Refused, UnknownJob
from jobhooks.operations import changes, deliveries
from jobhooks.operations.changes import ShownChange
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load
from jobhooks.store.connections import SyncConnection, call

LOOK_S = 0.1  # between two looks at what has come of it


@dataclass(frozen=True)
class JobRun(deliveries.Attempt):
    """What a hook's run of the job did."""

    hook: str


@dataclass(frozen=True)
class _Queued:
    """A delivery that is owed again; ``attempts`` had been made of it before."""

    hook: deliveries.NamedHook
    attempts: int


def run(
    job: Annotated[str, typer.Argument(help="module.Class", metavar="JOB", autocompletion=completion.jobs)],
    change: Annotated[
        int, typer.Option("--change", help="For this change, by its number.", metavar="CHANGE", max=changes.LAST_ID)
    ],
    timeout: Annotated[float, typer.Option(help="How long to wait for it.", metavar="SECONDS", min=0)] = 60.0,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Run a job now for a change, by each of its hooks that is for the change's table and event, and show the results.

    The daemon runs it, as with "jobhooks replay": in order with what else its hooks are owed of that object, within its
    limits, and what it writes is kept. Columns and conditions of the hooks are not asked, since you have. A job
    without such a hook can be tried by "jobhooks replay --dry-run".

    Example: jobhooks job run validate_serial.ValidateSerial --change 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        if not call(conn, "settings_of_job", job):
            raise UnknownJob(f"there is no job {job}")
        about = changes.change_by_id(conn, change)
        queued = [_queue(conn, named, about) for named in _hooks(conn, job, about)]
        runs = _await(conn, queued, about, timeout)
    if as_json:
        print_json(runs)
    else:
        _print(about, runs)
    if any(made.status == JobResultStatus.FAILURE for made in runs):
        raise typer.Exit(1)


def _hooks(conn: SyncConnection, job: str, about: ShownChange) -> list[deliveries.NamedHook]:
    """Return the hooks that the job runs by.

    Raises:
        Refused: there are none, or none that may run now.
    """
    names = [name for (name,) in call(conn, "hooks_for_change", job, about.id)]
    if not names:
        raise Refused(
            f"no hook leads the {about.action} of {about.table} to {job}: jobhooks hook add makes one, and"
            f" jobhooks replay --dry-run --change {about.id} --job {job} runs it without one, and keeps nothing"
        )
    named = [deliveries.hook_called(conn, name) for name in names]
    for off in [hook for hook in named if not hook.runs]:
        say(f'passed over: the hook "{off.name}" does not run, since it or its job is disabled, or not installed')
    found = [hook for hook in named if hook.runs and _is_replayable(conn, hook, about)]
    if not found:
        raise Refused(f"change {about.id} cannot be given to {job} now: no hook is left that could run it")
    return found


def _is_replayable(conn: SyncConnection, hook: deliveries.NamedHook, about: ShownChange) -> bool:
    if deliveries.replayable(conn, deliveries.WantedReplay(hook, change_ids=[about.id])):
        return True
    if not about.triggering:
        reason = "a receiver made the change, or a role that is muted"
    elif deliveries.owed(conn, deliveries.Wanted([about.id], hook)):
        reason = f"it is owed the change already: jobhooks delivery retry {about.id}"
    else:
        reason = "the daemon has yet to read the change, and delivers it then"
    say(f'passed over: the hook "{hook.name}", since {reason}')
    return False


def _queue(conn: SyncConnection, hook: deliveries.NamedHook, about: ShownChange) -> _Queued:
    attempts = deliveries.attempts(conn, about.id, hook.id)
    queue(conn, hook, [about.id])
    return _Queued(hook, attempts[-1].attempt if attempts else 0)


def _await(conn: SyncConnection, queued: list[_Queued], about: ShownChange, timeout_s: float) -> list[JobRun]:
    """Return what the next attempt of each did, once all have one.

    Raises:
        JobhooksError: they have not by then; they stay queued.
    """
    deadline = time.monotonic() + timeout_s
    with progress("waiting for the daemon", len(queued)) as done:
        return [_await_one(conn, each, about, deadline, done) for each in queued]


def _await_one(
    conn: SyncConnection, queued: _Queued, about: ShownChange, deadline: float, done: Callable[[int], None]
) -> JobRun:
    while True:
        for made in deliveries.attempts(conn, about.id, queued.hook.id):
            if made.attempt > queued.attempts:
                done(1)
                return JobRun(**vars(made), hook=queued.hook.name)
        if time.monotonic() > deadline:
            raise JobhooksError(
                f'the hook "{queued.hook.name}" has not run in time: {_obstacle(conn, queued, about)}; it stays queued,'
                f" and jobhooks delivery show {about.id} tells what becomes of it"
            )
        time.sleep(LOOK_S)


def _obstacle(conn: SyncConnection, queued: _Queued, about: ShownChange) -> str:
    owed = deliveries.owed(conn, deliveries.Wanted([about.id], queued.hook))
    if owed and owed[0].status == "blocked":
        return "it waits for an older change of the same object, which is owed, too"
    return "no daemon runs, or it is busy"


def _print(about: ShownChange, runs: list[JobRun]) -> None:
    out = console()
    print_heading(out, about)
    for made in runs:
        out.print(Text(printable(f'hook "{made.hook}"'), "bold"))
        print_attempt(out, made)
