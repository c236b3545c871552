"""``python -m bench.delivery``: the daemon's throughput, its latency, its cost to writers and its use of resources."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer
from rich.table import Table

from bench.behind import ALONE, BESIDE_LAGGING, STEADY, STEADY_RATE, TPCB, bloat, lagging, tpcb
from bench.drains import (
    ASYNC,
    DEF,
    FLOOR,
    KILLED,
    NOOP,
    OLD_SNAPSHOT,
    TEN_HOOKS,
    UNBROKEN,
    WITH_OBJECT,
    drain_noop,
    drain_write,
    flat,
    kill,
)
from bench.harness import (
    SETTINGS,
    BenchError,
    Machine,
    Spread,
    described,
    machine,
    open_server,
    print_report_of,
    report_console,
    shown,
    shuffled,
    spread,
    with_progress,
)
from bench.objects import BESIDE_SLOW, HOT_ROWS, LANE, ONE_HOOK, hot, lane
from bench.steady import CAPTURED, DAEMON, SLOW_DISK, idle, latency, writers
from bench.variants import BARE
from jobhooks.embedded import EmbeddedServer

Measure = Callable[[EmbeddedServer, str], dict[str, float]]


@dataclass(frozen=True)
class Sizes:
    """The amount of work: changes of the drains, rows of the writers' table, seconds of the rest.

    ``limit_s``: the longest that the benchmark waits for a daemon that may be far behind.
    """

    noop: int = 200_000
    write: int = 50_000
    flat: int = 1_000_000
    rows: int = 100_000
    latency_s: int = 10
    writers_s: int = 10
    idle_s: int = 60
    hot: int = 20_000
    lane: int = 3_000
    lagging: int = 1_000_000
    tpcb_s: int = 30
    bloat_s: int = 3600
    limit_s: float = 300.0


QUICK = Sizes(
    noop=20_000,
    write=5_000,
    flat=50_000,
    rows=20_000,
    latency_s=3,
    writers_s=2,
    idle_s=10,
    hot=4_000,
    lane=500,
    lagging=50_000,
    tpcb_s=5,
    bloat_s=60,
    limit_s=60.0,
)


@dataclass(frozen=True)
class Scenario:
    """A measurement in several variants. ``references``: compare each with these, by the figure ``compared``.

    ``only_named``: it takes so long that it runs only if its name is given.
    """

    title: str
    variants: dict[str, str | None]
    measure: Measure
    compared: str = ""
    only_named: bool = False


@dataclass(frozen=True)
class Measurement:
    """The figures of one scenario and variant in one round."""

    round: int
    scenario: str
    variant: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Line:
    """The figures of one variant in all rounds. ``ratio``: to the ``reference``, taken in each round."""

    variant: str
    figures: dict[str, Spread]
    reference: str | None
    ratio: Spread | None


@dataclass(frozen=True)
class Section:
    """The outcome of a scenario. ``compared``: the figure for ratios."""

    scenario: str
    title: str
    compared: str
    lines: list[Line]


@dataclass(frozen=True)
class Report:
    """All figures."""

    machine: Machine
    settings: dict[str, str]
    rounds: int
    sizes: Sizes
    sections: list[Section]


def scenarios(sizes: Sizes) -> dict[str, Scenario]:
    """List all scenarios by name, in the order of the report."""
    return {
        "drain_noop": Scenario(
            f"{sizes.noop:,} deliveries of a backlog to an async def receiver that does nothing",
            {NOOP: None, WITH_OBJECT: NOOP, TEN_HOOKS: NOOP, OLD_SNAPSHOT: NOOP},
            partial(drain_noop, changes=sizes.noop),
            "deliveries/s",
        ),
        "drain_write": Scenario(
            f"{sizes.write:,} deliveries of a backlog to a receiver that writes one row",
            {FLOOR: None, ASYNC: FLOOR, DEF: FLOOR},
            partial(drain_write, changes=sizes.write),
            "deliveries/s",
        ),
        "latency": Scenario(
            f"From the INSERT to the receiver's first line, at a rate, {sizes.latency_s} s each",
            {f"{who}, {rate}/s": f"{FLOOR}, {rate}/s" for rate in ("100", "2,000") for who in (FLOOR, DAEMON)},
            partial(latency, seconds=sizes.latency_s),
            "p50 ms",
        ),
        "writers": Scenario(
            f"Single-row UPDATE of clients at full speed, {sizes.writers_s} s each",
            {
                f"{table}, {clients}": f"{BARE.name}, {clients}"
                for clients in ("1", "16", "32", f"16, {SLOW_DISK}")
                for table in (BARE.name, CAPTURED, DAEMON)
            },
            partial(writers, seconds=sizes.writers_s, rows=sizes.rows),
            "transactions/s",
        ),
        "kill": Scenario(
            f"Killed in the middle of {sizes.write:,} deliveries that write one row, started again at once",
            {f"{kind}, {fate}": f"{kind}, {UNBROKEN}" for kind in (ASYNC, DEF) for fate in (UNBROKEN, KILLED)},
            partial(kill, changes=sizes.write),
            "seconds",
        ),
        "flat": Scenario(
            f"The beginning and the end of {sizes.flat:,} deliveries", {NOOP: None}, partial(flat, changes=sizes.flat)
        ),
        "idle": Scenario(
            f"{sizes.idle_s} s without changes", {DAEMON: None}, partial(idle, seconds=sizes.idle_s)
        ),
        "hot": Scenario(
            f"{sizes.hot:,} changes of {HOT_ROWS} rows, to a receiver that writes one row",
            {ONE_HOOK: None, BESIDE_SLOW: ONE_HOOK},
            partial(hot, changes=sizes.hot, limit_s=sizes.limit_s),
            "deliveries/s",
        ),
        "lane": Scenario(
            f"{sizes.lane:,} changes of one object behind a failed one, from its retry",
            {FLOOR: None, LANE: FLOOR},
            partial(lane, changes=sizes.lane, limit_s=sizes.limit_s),
            "deliveries/s",
        ),
        "lagging": Scenario(
            f"{sizes.lagging:,} deliveries of a backlog to a receiver that does nothing, beside a hook of 10 ms each",
            {ALONE: None, BESIDE_LAGGING: ALONE},
            partial(lagging, changes=sizes.lagging, limit_s=sizes.limit_s),
            "deliveries/s",
        ),
        "tpcb": Scenario(
            f"{sizes.tpcb_s} s of pgbench's TPC-B, to two receivers that write one row per change",
            {TPCB: None},
            partial(tpcb, seconds=sizes.tpcb_s, limit_s=sizes.limit_s),
        ),
        "bloat": Scenario(
            f"The backlog while {STEADY_RATE} rows/s change for {sizes.bloat_s} s, and one of two hooks fails at 1 %",
            {STEADY: None},
            partial(bloat, seconds=sizes.bloat_s, limit_s=sizes.limit_s),
            only_named=True,
        ),
    }  # fmt: skip


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO", help="All but bloat, if none is named.")
    ] = None,
    *,
    rounds: Annotated[int, typer.Option(min=1, help="How often each thing is measured.")] = 5,
    quick: Annotated[bool, typer.Option("--quick", help="Short and small, to see that it works.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the daemon, on a throw-away PostgreSQL: drain_noop, drain_write, latency, writers, kill, flat, idle, hot,
    lane, lagging, tpcb, bloat.
    """
    sizes = QUICK if quick else Sizes()
    known = scenarios(sizes)
    if unknown := set(names or ()) - known.keys():
        raise typer.BadParameter(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    chosen = {
        name: scenario for name, scenario in known.items() if (name in names if names else not scenario.only_named)
    }
    print_report_of(lambda: measure(chosen, rounds, sizes), print_report, as_json=as_json)


def measure(chosen: dict[str, Scenario], rounds: int, sizes: Sizes) -> Report:
    """Run all rounds.

    Raises:
        BenchError: the daemon lost or repeated a delivery, logged trouble or is stuck; or a program failed.
    """
    steps = [
        (number, name, variant)
        for number in range(rounds)
        for name, scenario in chosen.items()
        for variant in shuffled(list(scenario.variants))
    ]
    measurements: list[Measurement] = []
    with open_server(SETTINGS) as server:
        about = machine(server)
        for number, name, variant in with_progress(steps, "delivery"):
            try:
                figures = chosen[name].measure(server, variant)
            except BenchError as exc:
                raise BenchError(f"{name}, {variant}: {exc}") from exc
            measurements.append(Measurement(number, name, variant, figures))
    sections = [section(name, scenario, measurements) for name, scenario in chosen.items()]
    return Report(about, SETTINGS, rounds, sizes, sections)


def section(name: str, scenario: Scenario, measurements: Sequence[Measurement]) -> Section:
    """Summarise the rounds of one scenario."""
    figures = {(each.variant, each.round): each.figures for each in measurements if each.scenario == name}
    rounds = sorted({number for _, number in figures})
    lines: list[Line] = []
    for variant, reference in scenario.variants.items():
        spreads = {
            figure: spread([figures[variant, number][figure] for number in rounds])
            for figure in figures[variant, rounds[0]]
        }
        ratio = None
        if reference is not None and reference != variant:
            compared = scenario.compared
            ratio = spread(
                [figures[variant, number][compared] / figures[reference, number][compared] for number in rounds]
            )
        lines.append(Line(variant, spreads, reference if ratio else None, ratio))
    return Section(name, scenario.title, scenario.compared, lines)


def print_report(report: Report) -> None:
    """Print the report for people and for the docs."""
    console = report_console()
    console.print(described(report.machine))
    console.print(", ".join(f"{name} {value}" for name, value in report.settings.items()))
    console.print(f"Medians (lowest to highest) of {report.rounds} rounds; ratios are taken within each round")
    for each in report.sections:
        console.print(f"\n{each.scenario}: {each.title}", table(each), sep="\n")


def table(each: Section) -> Table:
    """Format a section as a table: a column per figure, and one for the ratio if there is one."""
    names = list(dict.fromkeys(name for line in each.lines for name in line.figures))
    result = Table("", box=None, pad_edge=False)
    for name in names:
        result.add_column(name, justify="right")
    if any(line.ratio for line in each.lines):
        result.add_column(f"ratio, {each.compared}", justify="right")
    for line in each.lines:
        cells = [cell(line.figures[name]) if name in line.figures else "" for name in names]
        result.add_row(line.variant, *cells, *([f"{shown(line.ratio, 2)} of {line.reference}"] if line.ratio else []))
    return result


def cell(figures: Spread) -> str:
    """Format a figure: fewer decimals, the larger it is."""
    highest = figures.highest
    return shown(figures, 0 if highest >= 100 or highest == 0 else 1 if highest >= 10 else 2)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
