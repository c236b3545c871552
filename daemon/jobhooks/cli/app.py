"""The root of the command line: its options, and how errors become one line and an exit code."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Annotated

import typer

from jobhooks.cli.command_tree import HELP_OPTIONS, LazyGroup, command_tree
from jobhooks.cli.show.output import print_message, print_text, printable
from jobhooks.cli.usage_errors import UsageError, line_of
from jobhooks.errors import JobhooksError
from jobhooks.runtime.systemd import stderr_is_journal, with_priority
from jobhooks.runtime.version import PROGRAM_VERSION

WRONG_USAGE = 2
INTERRUPTED = 130  # as shells report SIGINT

app = typer.Typer(
    name="jobhooks",
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
    help="Job Hooks for any PostgreSQL database: a row changes, a Python class of yours runs, once, in order.",
    epilog="Exit codes: 0 done; 1 failed, or status finds no daemon, or doctor an error; 2 wrong usage; 3 the database"
    " cannot be reached; 4 jobhooks is not installed in it, or another version is; 5 refused: unknown table, job, hook,"
    " event or change, a name taken, no permission; 6 wrong setting; 130 interrupted.",
)


def _print_version(asked: bool) -> None:
    if asked:
        print_text(PROGRAM_VERSION)
        raise typer.Exit


@app.callback()
def root_options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool,
        typer.Option("--version", "-V", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """The options of the command without a subcommand."""
    if any(name.upper().startswith("JOBHOOKS_") for name in os.environ) and context.invoked_subcommand != "run":
        from jobhooks.runtime.settings import unknown_variables

        for problem in unknown_variables():  # the daemon logs them
            print_message(f"warning: {problem}")


def main() -> None:
    """Run the command line. An error is one line and an exit code, never a traceback for a user's mistake."""
    if stderr_is_journal():
        sys.excepthook = _print_traceback
    try:
        _on_interrupt(signal.default_int_handler)  # all modules are loaded
        # The service's wrapper runs it as a module; no shell would complete a command of that name.
        code = command_tree(app)(prog_name="jobhooks", standalone_mode=False)
    except JobhooksError as error:
        _print_error(f"jobhooks: {error}")
        sys.exit(error.exit_code)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # which has printed the help
            _print_error(f"jobhooks: {printable(line_of(error))}")
        sys.exit(WRONG_USAGE)
    except typer.Abort:
        print_message("jobhooks: cancelled; nothing was changed")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        _on_interrupt(signal.SIG_DFL)  # nor is there a traceback while the interpreter ends
    sys.exit(code)


def _on_interrupt(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Set what Ctrl-C does, unless the shell has this process ignore it."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _print_error(text: str) -> None:
    """Print an error, which the journal stores with the priority of one."""
    print_message(with_priority("error", text) if stderr_is_journal() else text)


def _print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    _print_error("".join(traceback.format_exception(kind, error, trace)).rstrip())
