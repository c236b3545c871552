"""``jobhooks job``: the receivers that were found, and whether they may run."""

from typing import Annotated

import typer

from jobhooks.cli import completing, receivers
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag, connection
from jobhooks.cli.output import print_records, say
from jobhooks.errors import UnknownJob
from jobhooks.service.settings import load
from jobhooks.store import catalogue

JobArgument = Annotated[str, typer.Argument(help="module.Class", metavar="JOB", autocompletion=completing.jobs)]


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Jobs: the receivers that were found.")
    group.command("list")(list_jobs)
    group.command("enable")(enable)
    group.command("disable")(disable)
    app.add_typer(group, name="job")


def enable(
    job: JobArgument,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Let a receiver run.

    Example: jobhooks job enable validate_serial.ValidateSerial
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    findings = receivers.find(chosen)
    with connection(chosen) as conn:
        receivers.register(conn, findings, complete=False)
        if job not in findings.receivers:
            raise UnknownJob(f"cannot enable {job}: {findings.why_missing(job)}")
        catalogue.enable_job(conn, job)
        say(f"enabled {job}")


def disable(job: JobArgument, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """Keep a receiver from running: changes from now on pass it by.

    Example: jobhooks job disable validate_serial.ValidateSerial
    """
    with connection(load(config, database_url=database_url)) as conn:
        catalogue.enable_job(conn, job, enabled=False)
        say(f"disabled {job}")


def list_jobs(
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """List the jobs; modules that do not import are told on stderr.

    Example: jobhooks job list
    """
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    findings = receivers.find(chosen)
    with connection(chosen) as conn:
        receivers.register(conn, findings, complete=False)
        for broken in findings.broken:
            say(f"broken receiver module: {broken}")
        print_records(catalogue.Job, catalogue.jobs(conn), as_json=as_json)
