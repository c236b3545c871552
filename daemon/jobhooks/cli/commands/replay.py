"""``jobhooks replay``: delivers changes to a hook again, or tries a receiver on one change."""

from typing import Annotated

import typer

from jobhooks.cli import completion
from jobhooks.cli.filters import SinceFlag, TablesFlag, UntilFlag, YesFlag, period
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import print_json, print_message, progress
from jobhooks.operations import changes
from jobhooks.operations.delivering.replay import ReplayFilter, ReplayPlan, plan_replay, replay as carry_out
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import Settings, load


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(  # noqa: PLR0913, RUF100 - one parameter for each filter
    hook: Annotated[
        str | None,
        typer.Option(help="The hook to deliver them to.", metavar="NAME", autocompletion=completion.hooks),
    ] = None,
    table: TablesFlag = None,
    since: SinceFlag = None,
    until: UntilFlag = None,
    change: Annotated[
        list[int] | None,
        typer.Option(help="Only this change, by its id. Repeatable.", metavar="CHANGE", max=changes.LAST_ID),
    ] = None,
    yes: YesFlag = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Run --job for --change here, show its writes, and roll them back."),
    ] = False,
    job: Annotated[str | None, typer.Option(help="With --dry-run: the receiver, module.Class.", metavar="JOB")] = None,
    as_json: JsonFlag = False,
    receivers_path: ReceiversFlag = None,
    database_url: DatabaseFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Deliver changes of the log to a hook again, including those from before the hook existed.

    Only changes that match the hook's tables, events, columns and conditions as they are now are delivered. Pending
    deliveries stay as they are, and changes that the daemon has yet to read are left to it.

    With --dry-run a receiver runs for one change in a process of this command, even if its job is disabled. Its writes
    are shown and rolled back. Effects outside of its connection do happen: requests, files, mails.

    Example: jobhooks replay --hook "Check serials" --since 2h

    Example: jobhooks replay --hook "Check serials" --table public.device --since 2026-03-01 --until 2026-03-02

    Example: jobhooks replay --dry-run --change 42 --job validate_serial.ValidateSerial
    """
    settings = load(config, database_url=database_url, receivers_path=receivers_path)
    if dry_run:
        _try(settings, job, change, others=[hook, table, since, until, yes or None], as_json=as_json)
        return
    if hook is None:
        raise typer.BadParameter("replay needs a --hook, or --dry-run with a --job")
    if job is not None:
        raise typer.BadParameter("--job is for --dry-run")
    with connection(settings) as conn:
        chosen = ReplayFilter(hook, table or (), change or (), *period(conn, since, until))
        plan = plan_replay(conn, chosen, progress)
        _print_omissions(plan)
        confirm(
            f'deliver {number(len(plan.change_ids), "change", "changes")} to the hook "{hook}" again',
            f"{plan.hook.job} will run again, for changes {plan.change_ids[0]} to {plan.change_ids[-1]}.",
            yes=yes,
        )
        queued = carry_out(conn, plan, progress)
    if as_json:
        print_json({"hook": hook, "queued": queued, "runs": plan.hook.runs, "passed_over": plan.passed_over})
    else:
        print_message(f"queued {number(queued, 'delivery', 'deliveries')}{_obstacle(plan)}")


def _try(settings: Settings, job: str | None, change: list[int] | None, others: list[object], *, as_json: bool) -> None:
    if job is None or change is None or len(change) != 1 or any(other is not None for other in others):
        raise typer.BadParameter("--dry-run takes a --job and one --change, and no other filter")
    # Imported here, because all commands would load multiprocessing.
    from jobhooks.cli.show.dry_run import print_dry_run  # noqa: PLC0415, RUF100
    from jobhooks.operations.delivering.dry_run import dry_run  # noqa: PLC0415, RUF100

    with connection(settings) as conn:
        print_dry_run(dry_run(conn, settings, job, change[0]), as_json=as_json)


def _print_omissions(plan: ReplayPlan) -> None:
    failed = plan.failed_conditions
    if failed is not None:
        many = number(failed.changes, "change", "changes")
        print_message(f"passed over, because the hook's conditions could not be evaluated: {many}; {failed.error}")
    if plan.passed_over:
        print_message(
            f"passed over, because it cannot be replayed: {', '.join(f'change {id_}' for id_ in plan.passed_over)}"
        )


def _obstacle(plan: ReplayPlan) -> str:
    if plan.hook.runs:
        return ""
    if plan.hook.paused:
        return "; they run once the hook is resumed"
    return f"; they run once the hook and its job {plan.hook.job} are both enabled and installed"
