"""Renders a dry run: how the receiver ended, and the writes that were rolled back."""

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from jobhooks.cli.show.change_diff import ACTION_STYLES, ASIDE, key, print_difference, print_heading
from jobhooks.cli.show.deliveries import print_log_and_traceback
from jobhooks.cli.show.output import console, one_line, print_json, print_message
from jobhooks.cli.show.results import STATUS_STYLES, object_of
from jobhooks.cli.show.settings import seconds
from jobhooks.operations.delivering.dry_run import DryRun

KEPT = (
    "Nothing in the database was kept. Writes to tables that are not watched are not shown, and effects outside of the"
    " receiver's connection have happened."
)
ENDED = "The receiver ended its transaction, which it must not do: what it wrote before that is kept."


def print_dry_run(run: DryRun, *, as_json: bool) -> None:
    """Print a dry run.

    Raises:
        typer.Exit: the receiver failed.
    """
    if as_json:
        print_json(run)
    else:
        _print(console(), run)
    print_message(ENDED if run.transaction_ended else KEPT)
    if run.status == "failure":
        raise typer.Exit(1)


def _print(out: Console, run: DryRun) -> None:
    print_heading(out, run.change)
    if run.child is not None:
        out.print(Text(one_line(f"  as an {run.action} of {object_of(run)}"), ASIDE))
    error = f": {run.error}" if run.error else ""
    out.print(
        Text.assemble(
            one_line(f"  {run.job}: "),
            (run.status, STATUS_STYLES[run.status]),
            one_line(f" in {run.duration_ms:.0f} ms{error}"),
        )
    )
    print_log_and_traceback(out, run)
    if run.retry_after_s is not None:
        out.print(Text(f"  it asks to run again in {seconds(run.retry_after_s)}", ASIDE))
    if run.value != msgspec.Raw(b"null"):
        out.print(Text(one_line(f"  it returned {bytes(run.value).decode()}"), ASIDE))
    _print_writes(out, run)


def _print_writes(out: Console, run: DryRun) -> None:
    out.print(Text("it would write:" if run.writes else "it would write nothing to watched tables", "bold"))
    for write in run.writes:
        row = one_line(f" {write.table} {key(write)}".rstrip())
        out.print(Text.assemble((write.action, ACTION_STYLES[write.action]), row))
        print_difference(out, write)
