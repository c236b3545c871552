"""``jobhooks job run``: runs a job now for a change of the log, by its hooks, and shows the results."""

from typing import Annotated

import typer
from rich.text import Text

from jobhooks.cli import completion
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag
from jobhooks.cli.show.change_diff import print_heading
from jobhooks.cli.show.deliveries import print_attempt
from jobhooks.cli.show.output import console, print_json, print_message, printable, progress
from jobhooks.contract.choices import JobResultStatus
from jobhooks.operations import changes
from jobhooks.operations.delivering.job_run import await_results, queue_job
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import load


def run(
    job: Annotated[str, typer.Argument(help="module.Class", metavar="JOB", autocompletion=completion.jobs)],
    change: Annotated[
        int, typer.Option("--change", help="The change to run it for, by its id.", metavar="ID", max=changes.LAST_ID)
    ],
    timeout: Annotated[float, typer.Option(help="How long to wait for the results.", metavar="SECONDS", min=0)] = 60.0,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Run a job now for a change, by each of its hooks that is for the change's table and event, and show the results.

    The daemon runs it, as with "jobhooks replay": in order with the hooks' other deliveries for that object, within the
    job's limits, and its writes are kept. The hooks' columns and conditions do not count. To try a job without a hook,
    use "jobhooks replay --dry-run".

    Example: jobhooks job run validate_serial.ValidateSerial --change 42
    """
    with connection(load(config, database_url=database_url)) as conn:
        queued = queue_job(conn, job, change)
        for omitted in queued.passed_over:
            print_message(f'passed over the hook "{omitted.hook}": {omitted.reason}')
        results = await_results(conn, queued, timeout, progress)
    if as_json:
        print_json(results)
    else:
        out = console()
        print_heading(out, queued.change)
        for result in results:
            out.print(Text(printable(f'hook "{result.hook}"'), "bold"))
            print_attempt(out, result)
    if any(result.status == JobResultStatus.FAILURE.value for result in results):
        raise typer.Exit(1)
