"""The root of the command line: its groups, and how errors become one line and an exit code."""

import sys

import typer

from jobhooks.cli import change, delivery, doctor, hook, install, job, receiver, replay, result, run, status, table
from jobhooks.cli.command_tree import command_tree
from jobhooks.cli.demo import command as demo
from jobhooks.cli.options import JsonFlag
from jobhooks.cli.show.output import print_json, say
from jobhooks.errors import JobhooksError
from jobhooks.schema.install import PROGRAM_VERSION
from jobhooks.store.queries import migrations

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
    """Run the command line: one line for an error, with its exit code, and never a traceback for a user's mistake."""
    try:
        # The service's wrapper runs it as a module, by which name no shell would complete it.
        command_tree(app)(prog_name="jobhooks")
    except JobhooksError as error:
        say(f"jobhooks: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
