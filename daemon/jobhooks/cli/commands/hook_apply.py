"""``jobhooks hook export`` and ``apply``: write hooks and tables to a file, and make them match a file."""

import contextlib
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import console, print_json, print_message, print_text, progress
from jobhooks.cli.show.settings import TableChange, print_plan, print_table_plan
from jobhooks.errors import Forbidden, Refused, with_remedy
from jobhooks.operations.configuration import hook_file, hooks, receivers, table_file, table_plan
from jobhooks.operations.configuration.hook_plan import Step, StepKind, carry_out, in_file, plan
from jobhooks.operations.configuration.table_plan import KINDS, TablePlan, differences
from jobhooks.operations.opening import connection
from jobhooks.operations.watching import Outcome
from jobhooks.runtime.settings import load

SHOWN = 4  # names of tables that stay as they are
NO_TABLES = TablePlan([], [])
DONE = {StepKind.ADD: "added", StepKind.EDIT: "changed", StepKind.DELETE: "deleted"}


def add_to(group: typer.Typer) -> None:
    """Add the commands to those of hooks."""
    group.command("export")(export)
    group.command("apply")(apply)


def export(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Print the watched tables and the hooks as a file for apply, by name.

    Example: jobhooks hook export > hooks.toml
    """
    with connection(load(config, database_url=database_url)) as conn:
        tables = table_plan.exported(conn)
        found = sorted(hooks.hooks(conn), key=lambda hook: hook.name)
    if as_json:
        entries = {"table": [table_file.entry(table) for table in tables]} if tables else {}
        print_json({**entries, "hook": [hook_file.entry(hook) for hook in found]})
        return
    if text := "\n".join(filter(None, [table_file.written(tables), hook_file.written(found)])):
        print_text(text.rstrip("\n"))


def apply(
    file: Annotated[
        Path, typer.Argument(help="A file as export prints it.", metavar="FILE", exists=True, dir_okay=False)
    ],
    unwatch: Annotated[
        bool, typer.Option("--unwatch", help="Stop watching tables that a file with tables does not have.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print and try the changes, but keep nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Make hooks and watched tables match a file.

    It adds and changes hooks, and deletes those that the file does not have. It watches the tables of the file as the
    file says; others stay as they are, unless --unwatch is given. A file without hooks leaves hooks alone, one without
    tables leaves tables alone.

    It prints the changes, and asks. The tables come first, one by one; then all changes of hooks, or none.

    Example: jobhooks hook apply hooks.toml --dry-run

    Example: jobhooks hook apply hooks.toml --yes
    """
    hooks_in_file, tables_in_file = hook_file.read(file), table_file.read(file)
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    with connection(chosen) as conn:
        with _naming(file):
            tables = table_plan.plan(conn, tables_in_file or []) if tables_in_file is not None else NO_TABLES
            seen = hooks.hooks(conn)
            steps: list[Step] = []
            if hooks_in_file is not None:
                wanted = [in_file(conn, hook) for hook in hooks_in_file]
                steps = plan(conn, seen, wanted, partial(receivers.find, chosen))
        gone = tables.others if unwatch else []
        _print_plan(tables, gone, steps, as_json=as_json)
        if tables.others and not gone:
            names = ", ".join(tables.others[:SHOWN]) + (", ..." if len(tables.others) > SHOWN else "")
            what = number(len(tables.others), "table", "tables")
            print_message(with_remedy(f"{what} not in the file stay watched: {names}", "--unwatch"))
        if hooks_in_file is None and seen:
            what = number(len(seen), "hook stays", "hooks stay")
            print_message(with_remedy(f"{what} as before: the file has no hooks", "hook = [] in the file deletes all"))
        if not (steps or tables.steps or gone):
            print_message("nothing to do: the hooks and tables are those of the file")
            return
        if not yes:  # errors come before the question
            with _naming(file), _unless_forbidden(dry_run):
                carry_out(conn, seen, steps, keep=False, first=lambda: table_plan.pretend(conn, tables))
        if dry_run:
            return
        confirm(f"change {_what(len(tables.steps) + len(gone), len(steps))}", _consequence(steps), yes=yes)
        with _naming(file):
            table_plan.carry_out(conn, tables, progress)
            carry_out(conn, seen, steps)
            table_plan.unwatch(conn, gone)
    print_message(_summary(tables, gone, steps))


def _print_plan(tables: TablePlan, gone: Sequence[str], steps: Sequence[Step], *, as_json: bool) -> None:
    changes = [TableChange(KINDS[step.outcome], step.table, differences(step)) for step in tables.steps]
    changes += [TableChange(StepKind.DELETE, name, []) for name in gone]
    if as_json:
        of_hooks: list[dict[str, object]] = [{"type": "hook", **msgspec.to_builtins(step)} for step in steps]
        print_json([*({"type": "table", **msgspec.to_builtins(change)} for change in changes), *of_hooks])
        return
    print_table_plan(console(), changes)
    print_plan(console(), steps)


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


def _what(tables: int, changed: int) -> str:
    parts = [number(tables, "table", "tables") if tables else "", number(changed, "hook", "hooks") if changed else ""]
    return " and ".join(filter(None, parts))


def _consequence(steps: Sequence[Step]) -> str:
    pending = sum(one.deliveries for one in steps)
    gone = f" Discards {number(pending, 'delivery', 'deliveries')} of deleted hooks." if pending else ""
    return f"Makes all of these changes of hooks, or no change.{gone}" if steps else ""


def _summary(tables: TablePlan, gone: Sequence[str], steps: Sequence[Step]) -> str:
    of_tables = {
        "watched": sum(step.outcome is Outcome.WATCHED for step in tables.steps),
        "changed": sum(step.outcome is Outcome.CHANGED for step in tables.steps),
        "no longer watched": len(gone),
    }
    of_hooks = {word: sum(one.kind is kind for one in steps) for kind, word in DONE.items()}
    parts = [
        f"{what}: {', '.join(f'{count} {word}' for word, count in counts.items() if count)}"
        for what, counts in (("tables", of_tables), ("hooks", of_hooks))
        if any(counts.values())
    ]
    return "; ".join(parts)
