"""The root of the command line: its groups, and how errors become one line and an exit code."""

import sys

import typer

from jobhooks.cli import change, delivery, doctor, hook, install, job, receiver, replay, result, run, status, table
from jobhooks.cli.command_tree import command_tree
from jobhooks.cli.demo import command as demo
from jobhooks.cli.options import JsonFlag
from jobhooks.cli.show.output import print_json, printable, say
from jobhooks.cli.usage_errors import UsageError, line_of
from jobhooks.errors import JobhooksError
from jobhooks.schema.install import PROGRAM_VERSION
from jobhooks.store.queries import migrations

WRONG_USAGE = 2
INTERRUPTED = 130  # as shells report SIGINT

app = typer.Typer(
    name="jobhooks",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Job Hooks for any PostgreSQL database: a row changes, a Python class of yours runs, once, in order.",
    epilog="Exit codes: 0 done; 1 failed, or status finds no daemon, or doctor an error; 2 wrong usage; 3 the database"
    " cannot be reached; 4 jobhooks is not installed in it, or another version is; 5 refused: unknown table, job, hook,"
    " event or change, a name taken, no permission; 6 wrong setting; 130 interrupted.",
)
install.add_to(app)
table.add_to(app)
job.add_to(app)
hook.add_to(app)
receiver.add_to(app)
change.add_to(app)
delivery.add_to(app)
result.add_to(app)
replay.add_to(app)
run.add_to(app)
status.add_to(app)
doctor.add_to(app)
demo.add_to(app)


@app.command()
def version(as_json: JsonFlag = False) -> None:
    """Print the version; with --json, that of the schema that it installs, too.

    Example: jobhooks version --json
    """
    if as_json:
        print_json({"version": PROGRAM_VERSION, "schema": migrations()[-1].version})
    else:
        typer.echo(PROGRAM_VERSION)


def main() -> None:
    """Run the command line. An error is one line and an exit code, never a traceback for a user's mistake."""
    try:
        # The service's wrapper runs it as a module; no shell would complete a command of that name.
        code = command_tree(app)(prog_name="jobhooks", standalone_mode=False)
    except JobhooksError as error:
        say(f"jobhooks: {error}")
        sys.exit(error.exit_code)
    except UsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # which has printed the help
            say(f"jobhooks: {printable(line_of(error))}")
        sys.exit(WRONG_USAGE)
    except typer.Abort:
        say("jobhooks: cancelled; nothing was changed")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    sys.exit(code)
