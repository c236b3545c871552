"""``jobhooks hook export`` and ``apply``: write all hooks to a file, and make the hooks match a file."""

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import console, print_json, print_message, print_text
from jobhooks.cli.show.settings import print_plan
from jobhooks.errors import Forbidden, Refused
from jobhooks.operations.configuration import hook_file, hooks
from jobhooks.operations.configuration.hook_plan import Step, StepKind, carry_out, plan, with_listed_names
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load

DONE = {StepKind.ADD: "added", StepKind.EDIT: "changed", StepKind.DELETE: "deleted"}


def add_to(group: typer.Typer) -> None:
    """Add the commands to those of hooks."""
    group.command("export")(export)
    group.command("apply")(apply)


def export(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Print the hooks as a file for apply, by name.

    Example: jobhooks hook export > hooks.toml
    """
    with connection(load(config, database_url=database_url)) as conn:
        found = sorted(hooks.hooks(conn), key=lambda hook: hook.name)
    if as_json:
        print_json([hook_file.entry(hook) for hook in found])
    elif found:
        print_text(hook_file.written(found).rstrip("\n"))


def apply(
    file: Annotated[
        Path, typer.Argument(help="A file as export prints it.", metavar="FILE", exists=True, dir_okay=False)
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the changes and try them, but keep none.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Make the hooks match a file: add, change, and delete hooks that it does not have; all changes or no change.

    It prints the changes, and asks.

    Example: jobhooks hook apply hooks.toml --dry-run

    Example: jobhooks hook apply hooks.toml --yes
    """
    in_file = hook_file.read(file)
    with connection(load(config, database_url=database_url)) as conn:
        with _naming(file):
            wanted = [with_listed_names(conn, hook) for hook in in_file]
            seen = hooks.hooks(conn)
            steps = plan(conn, seen, wanted)
        if as_json:
            print_json(steps)
        else:
            print_plan(console(), steps)
        if not steps:
            print_message("nothing to do: the hooks are those of the file")
            return
        if not yes:  # errors come before the question
            with _naming(file), _unless_forbidden(dry_run):
                carry_out(conn, seen, steps, keep=False)
        if dry_run:
            return
        confirm(f"change {number(len(steps), 'hook', 'hooks')}", _consequence(steps), yes=yes)
        with _naming(file):
            carry_out(conn, seen, steps)
    print_message(_summary(steps))


@contextlib.contextmanager
def _naming(file: Path) -> Generator[None]:
    """Add the file's name to errors; the database names the hook."""
    try:
        yield
    except Refused as exc:
        raise exc.about(str(file)) from exc


@contextlib.contextmanager
def _unless_forbidden(dry_run: bool) -> Generator[None]:
    """Show the plan to a role that may not change hooks."""
    try:
        yield
    except Forbidden as exc:
        if not dry_run:
            raise
        print_message(f"not tried, since you may not change hooks: {exc}")


def _consequence(steps: Sequence[Step]) -> str:
    pending = sum(one.deliveries for one in steps)
    gone = f" Discards {number(pending, 'delivery', 'deliveries')} of deleted hooks." if pending else ""
    return f"Makes all of these changes, or no change.{gone}"


def _summary(steps: Sequence[Step]) -> str:
    counts = [(word, sum(one.kind is kind for one in steps)) for kind, word in DONE.items()]
    return f"hooks: {', '.join(f'{count} {word}' for word, count in counts if count)}"
