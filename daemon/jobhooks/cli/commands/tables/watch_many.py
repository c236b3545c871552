"""Watches the tables of patterns: a plan, a question if they are many, and a report of those that were refused."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import typer

from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import print_json, print_message, progress
from jobhooks.cli.show.problems import warn_of_publications, warn_of_secrets
from jobhooks.cli.show.watch_plan import print_plan
from jobhooks.errors import Refused, with_remedy
from jobhooks.operations import watching
from jobhooks.operations.watching import Outcome, TableStep, WatchOptions
from jobhooks.store.connections import SyncConnection

MANY = 10  # tables that are watched without a question
TO_DO = (Outcome.WATCHED, Outcome.CHANGED)


@dataclass(frozen=True)
class Request:
    """The tables of a command, and the options that apply to all of them."""

    names: Sequence[str]
    excepted: Sequence[str]
    options: WatchOptions


def watch_many(conn: SyncConnection, request: Request, *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Print the plan, ask, and watch; exits with 5 if a table was refused.

    Raises:
        Refused: see ``watching.plan``.
    """
    plan = watching.plan(conn, request.names, request.excepted, request.options)
    for text in plan.unused_exceptions:
        print_message(f"warning: no table matches --except {text}")
    todo = [step for step in plan.steps if step.outcome in TO_DO]
    if not as_json:
        print_plan(plan.steps)
    done = plan.steps
    if not dry_run and todo:
        if len(todo) > MANY and sys.stdin.isatty():
            confirm(f"watch {number(len(todo), 'table', 'tables')}", yes=yes)
        done = _carry_out(conn, plan.steps, request.options)
        for step in done:
            if step.outcome in TO_DO:
                warn_of_secrets(conn, step.table)
        warn_of_publications(conn)
    if as_json:
        print_json([_as_json(step) for step in sorted(done, key=lambda step: step.table)])
    if not dry_run or not as_json:
        _report(done, dry_run=dry_run)
    if any(step.outcome is Outcome.REFUSED for step in done):
        raise typer.Exit(Refused.exit_code)


def _carry_out(conn: SyncConnection, steps: Sequence[TableStep], options: WatchOptions) -> list[TableStep]:
    done: list[TableStep] = []
    with progress("watching", len(steps)) as advance:
        for step in watching.carry_out(conn, steps, allow_casts=options.allow_casts):
            done.append(step)
            advance(1)
    return done


def _report(done: Sequence[TableStep], *, dry_run: bool) -> None:
    refused = [step for step in done if step.outcome is Outcome.REFUSED]
    for step in sorted(refused, key=lambda step: step.table):
        print_message(with_remedy(f"cannot watch {step.table}: {step.problem}", step.remedy))
    counts = {outcome: sum(step.outcome is outcome for step in done) for outcome in Outcome}
    words = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    print_message(f"{'would be ' if dry_run else ''}{words or 'nothing to watch'}")


def _as_json(step: TableStep) -> dict[str, object]:
    settings: dict[str, object] = msgspec.to_builtins(step.wanted)
    return {
        "table": step.table,
        "outcome": step.outcome.value,
        **settings,
        "problem": step.problem,
        "remedy": step.remedy,
    }
