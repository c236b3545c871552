"""Shared code of all benchmarks: server, facts about the machine, rounds, and medians of ratios."""

import contextlib
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import track

from jobhooks.embedded import EmbeddedServer, EmbeddedServerError, run_server, system_binaries, wheel_binaries
from jobhooks.errors import JobhooksError
from jobhooks.runtime.version import PROGRAM_VERSION
from jobhooks.store.connections import SyncConnection, connect, execute

AUTOVACUUM = "autovacuum"
RELOAD_S = 10.0
VARIABLE = "JOBHOOKS_BENCH_POSTGRES"
# Like a server that holds data, but so large that no checkpoint and no autovacuum falls into a measurement.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",  # WAL to keep for reuse: a new file costs more than an old one
    "checkpoint_timeout": "1h",
    AUTOVACUUM: "off",
    "max_connections": "100",
}

T = TypeVar("T")


class BenchError(Exception):
    """A condition for meaningful figures was not met."""


@dataclass(frozen=True)
class Machine:
    """The origin of the figures. ``load``: the machine's load in the last minute; measure again if it is high."""

    postgresql: str
    jobhooks: str
    system: str
    kernel: str
    processor: str
    cores: int
    load: float


@dataclass(frozen=True)
class Spread:
    """The outcome of several rounds."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Measurement:
    """One figure. ``case``: the action; ``variant``: the table; ``value``: seconds, or as the report says."""

    round: int
    case: str
    variant: str
    value: float
    wal_bytes: float  # per change


@dataclass(frozen=True)
class Line:
    """One line of a report. ``ratios``: by the variant that each round's value is compared with."""

    case: str
    variant: str
    value: Spread
    wal_bytes: Spread
    ratios: dict[str, Spread]


def binaries() -> Path:
    """Find the programs of the PostgreSQL in JOBHOOKS_BENCH_POSTGRES: system, embedded, or a folder.

    The default is the newest one of the system, or else the embedded one.

    Raises:
        BenchError: no such server exists, or it has no pgbench.
    """
    wanted = os.environ.get(VARIABLE, "")
    choices: dict[str, Path | None] = {"system": system_binaries(), "embedded": wheel_binaries()}
    choices[""] = choices["system"] or choices["embedded"]
    found = Path(wanted) if wanted.startswith("/") else choices.get(wanted)
    if found is None or not (found / "pgbench").exists():
        raise BenchError(
            f"no PostgreSQL with pgbench for {VARIABLE}={wanted!r}: it takes system, embedded, or the folder of a"
            " server's programs"
        )
    return found


@contextmanager
def open_server(settings: Mapping[str, str]) -> Generator[EmbeddedServer]:
    """Run a throw-away server.

    Raises:
        BenchError: no server exists, or it does not start.
    """
    try:
        started_with = {name: value for name, value in settings.items() if name != AUTOVACUUM}
        with run_server(binaries(), started_with) as server:
            if AUTOVACUUM in settings:
                with contextlib.closing(connect(server.url())) as conn:
                    set_autovacuum(conn, on=settings[AUTOVACUUM] == "on")
            os.sync()  # flush the files of initdb now, or the first round would wait for that
            yield server
    except EmbeddedServerError as exc:
        raise BenchError(str(exc)) from exc


def set_autovacuum(conn: SyncConnection, *, on: bool) -> None:
    """Switch autovacuum for the server. It must not be set where the server is started: that cannot be changed.

    Raises:
        BenchError: it does not change.
    """
    wanted = "on" if on else "off"
    execute(conn, f"alter system set autovacuum = {wanted}".encode())
    execute(conn, b"select pg_reload_conf()")
    deadline = time.monotonic() + RELOAD_S
    while execute(conn, b"show autovacuum") != [(wanted,)]:
        if time.monotonic() > deadline:
            raise BenchError(f"autovacuum does not become {wanted}")
        time.sleep(0.05)


def machine(server: EmbeddedServer) -> Machine:
    """Describe the machine and the server."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    return Machine(
        postgresql=server.version,
        jobhooks=PROGRAM_VERSION,
        system=_system(),
        kernel=f"{platform.system()} {platform.release()}",
        processor=models[0].partition(": ")[2] if models else platform.machine(),
        cores=os.cpu_count() or 0,
        load=round(os.getloadavg()[0], 2),
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def wal_position(conn: SyncConnection) -> int:
    """Read the WAL position in bytes."""
    ((position,),) = execute(conn, b"select (pg_current_wal_lsn() - '0/0')::bigint")
    return position


def shuffled(variants: Sequence[T]) -> Sequence[T]:
    """Shuffle ``variants`` for each round, so that the order has no effect on the medians."""
    return random.sample(variants, len(variants))


def with_progress(steps: Sequence[T], what: str) -> Iterable[T]:
    """Yield ``steps``, with a progress bar on stderr if it is a terminal."""
    console = Console(stderr=True)
    return track(steps, what, console=console, disable=not console.is_terminal)


def summary(measurements: Sequence[Measurement], references: Mapping[str, Sequence[str]]) -> list[Line]:
    """Make a line for each case and variant, in the order of ``references``: variants to their reference variants.

    The ratio is taken within each round, between neighbours in time, and then the median: if the machine was slow for a
    while, it was slow for both.
    """
    values = {(each.case, each.variant, each.round): each for each in measurements}
    lines: list[Line] = []
    for case in dict.fromkeys(each.case for each in measurements):
        for variant, compared in references.items():
            rounds = [each for each in measurements if (each.case, each.variant) == (case, variant)]
            ratios = {
                name: spread([each.value / values[case, name, each.round].value for each in rounds])
                for name in compared
            }
            value, wal_bytes = spread([each.value for each in rounds]), spread([each.wal_bytes for each in rounds])
            lines.append(Line(case, variant, value, wal_bytes, ratios))
    return lines


def spread(values: Sequence[float]) -> Spread:
    """Compute median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values))


def shown(figures: Spread, digits: int) -> str:
    """Format the median, and in brackets the lowest and the highest if they differ."""
    median = f"{figures.median:,.{digits}f}"
    if figures.lowest == figures.highest:
        return median
    return f"{median} ({figures.lowest:,.{digits}f} to {figures.highest:,.{digits}f})"


def report_console() -> Console:
    """Make a console for the report. In a pipe each row is one line."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def described(about: Machine) -> str:
    """Format the facts about the machine for people."""
    return (
        f"PostgreSQL {about.postgresql}, jobhooks {about.jobhooks}, {about.system}, {about.kernel},"
        f" {about.cores} cores of {about.processor}, load before {about.load}"
    )


def print_report_of(measure: Callable[[], T], print_report: Callable[[T], None], *, as_json: bool) -> None:
    """Measure, and print the report; exit with the reason if the measurement fails."""
    try:
        report = measure()
    except (BenchError, JobhooksError) as exc:
        sys.exit(f"bench: {exc}")
    if as_json:
        print_json(report)
    else:
        print_report(report)


def print_json(report: object) -> None:
    """Print a report's dataclasses as JSON."""
    Console(soft_wrap=True, highlight=False, markup=False).print(
        msgspec.json.format(msgspec.json.encode(report)).decode()
    )
