"""What all measuring has in common: server, facts about the machine, rounds, and the medians of their ratios."""

import os
import platform
import random
import statistics
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console
from rich.progress import track

from jobhooks.embedded import EmbeddedServer, EmbeddedServerError, run_server, system_binaries, wheel_binaries
from jobhooks.schema.install import PROGRAM_VERSION
from jobhooks.store.connections import SyncConnection, execute

VARIABLE = "JOBHOOKS_BENCH_POSTGRES"
# As a server that holds data has them, but large enough that no checkpoint and no autovacuum falls into a measurement.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "16GB",
    "min_wal_size": "2GB",  # what is kept for use again: a new WAL file costs more than one that is there
    "checkpoint_timeout": "1h",
    "autovacuum": "off",
    "max_connections": "100",
}

T = TypeVar("T")


class BenchError(Exception):
    """Something was not as it must be for figures to mean anything."""


@dataclass(frozen=True)
class Machine:
    """Where figures come from. ``load``: what else kept it busy in the last minute; measure again if that is much."""

    postgresql: str
    jobhooks: str
    system: str
    kernel: str
    processor: str
    cores: int
    load: float


@dataclass(frozen=True)
class Spread:
    """What several rounds gave."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Measurement:
    """One figure. ``case``: what was done, ``variant``: to which table; ``value``: seconds, or as the report says."""

    round: int
    case: str
    variant: str
    value: float
    wal_bytes: float  # per change


@dataclass(frozen=True)
class Line:
    """One line of a report. ``ratios``: by the variant that the value is compared with in each round."""

    case: str
    variant: str
    value: Spread
    wal_bytes: Spread
    ratios: dict[str, Spread]


def binaries() -> Path:
    """Return the programs of the PostgreSQL that JOBHOOKS_BENCH_POSTGRES names: system, embedded, or a folder.

    By default the newest one of the system, or else the embedded one.

    Raises:
        BenchError: there is none, or it has no pgbench.
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
        BenchError: there is none, or it does not start.
    """
    try:
        with run_server(binaries(), settings) as server:
            os.sync()  # what initdb wrote, or the first round would wait for it
            yield server
    except EmbeddedServerError as exc:
        raise BenchError(str(exc)) from exc


def machine(server: EmbeddedServer) -> Machine:
    """Return what the figures come from."""
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
    """Return how many bytes of WAL there are."""
    ((position,),) = execute(conn, b"select (pg_current_wal_lsn() - '0/0')::bigint")
    return position


def shuffled(variants: Sequence[T]) -> Sequence[T]:
    """Return ``variants`` in another order each time: what comes after what should make no difference in the end."""
    return random.sample(variants, len(variants))


def with_progress(steps: Sequence[T], what: str) -> Iterable[T]:
    """Yield ``steps``, with a bar on a terminal's stderr."""
    console = Console(stderr=True)
    return track(steps, what, console=console, disable=not console.is_terminal)


def summary(measurements: Sequence[Measurement], references: Mapping[str, Sequence[str]]) -> list[Line]:
    """Return a line for each case and variant, in the order of ``references``: variants to what each is compared with.

    The ratio is taken in each round, between neighbours in time, and only then the median: so a machine that was slow
    for a while was slow for both.
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
    """Return median, lowest and highest."""
    return Spread(statistics.median(values), min(values), max(values))


def shown(figures: Spread, digits: int) -> str:
    """Return the median, and where they differ in brackets the lowest and the highest."""
    median = f"{figures.median:,.{digits}f}"
    if figures.lowest == figures.highest:
        return median
    return f"{median} ({figures.lowest:,.{digits}f} to {figures.highest:,.{digits}f})"


def report_console() -> Console:
    """Return a console for the report; a pipe has no width to fit into: there, each row is a line."""
    return Console(width=None if sys.stdout.isatty() else 200, highlight=False)


def described(about: Machine) -> str:
    """Return the facts about the machine, for a person."""
    return (
        f"PostgreSQL {about.postgresql}, jobhooks {about.jobhooks}, {about.system}, {about.kernel},"
        f" {about.cores} cores of {about.processor}, load before {about.load}"
    )


def print_json(report: object) -> None:
    """Print a report's dataclasses as JSON."""
    Console(soft_wrap=True, highlight=False, markup=False).print(
        msgspec.json.format(msgspec.json.encode(report)).decode()
    )
