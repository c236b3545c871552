"""``jobhooks hook``: the rules that lead changes to jobs."""

from typing import Annotated

import typer

from jobhooks.cli import completing
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, connection
from jobhooks.cli.output import print_records, say
from jobhooks.service.settings import load
from jobhooks.store import catalogue


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Job hooks: the rules that lead changes to jobs.")
    group.command("add")(add)
    group.command("list")(list_hooks)
    app.add_typer(group, name="hook")


def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.", metavar="NAME")],
    content_type: Annotated[
        list[str],
        typer.Option(
            help="A watched table, schema.table. Repeatable.", metavar="TABLE", autocompletion=completing.tables
        ),
    ],
    events: Annotated[
        str,
        typer.Option(help="Of create, update, delete and truncate, separated by commas.", metavar="EVENT[,EVENT...]"),
    ],
    job: Annotated[
        str, typer.Option(help="module.Class, as job list shows it.", metavar="JOB", autocompletion=completing.jobs)
    ],
    description: Annotated[str, typer.Option(help="What the hook is for.")] = "",
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Add a hook: from now on, changes of these tables by these events run this job.

    Example: jobhooks hook add "Check serials" --content-type public.device --events create,update
    --job validate_serial.ValidateSerial
    """
    wanted = [event.strip() for event in events.split(",") if event.strip()]
    with connection(load(config, database_url=database_url)) as conn:
        catalogue.add_hook(conn, name, content_type, wanted, job, description)
        say(f'added hook "{name}"')
        if not any(known.enabled for known in catalogue.jobs(conn) if known.class_path == job):
            say(f"warning: the job {job} is not enabled, so this hook runs nothing yet: jobhooks job enable {job}")


def list_hooks(as_json: JsonFlag = False, database_url: DatabaseFlag = None, config: ConfigFlag = None) -> None:
    """List the hooks.

    Example: jobhooks hook list
    """
    with connection(load(config, database_url=database_url)) as conn:
        print_records(catalogue.JobHook, catalogue.hooks(conn), as_json=as_json)
