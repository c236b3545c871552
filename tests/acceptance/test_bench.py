"""The benchmark runs and is complete. Its figures are not tested: a busy machine would fail the test."""

import json
import subprocess
import sys
from typing import Any

import pytest

from support.daemon import environment
from support.generated import ROOT

pytestmark = pytest.mark.nightly  # fsync makes it slow, and a disk that others use slower

SINGLE_ROW = ["bare", "floor", "floor_both", "jobhooks", "jobhooks_notify"]
PARTITIONED = ["bare", "floor", "floor_both", "jobhooks"]
BULK = [
    *("bare", "floor", "floor_both", "jobhooks", "jobhooks_exclude", "jobhooks_ignore"),
    *("jobhooks_lastval", "jobhooks_no_lastval"),
    *(f"partitioned_{name}" for name in PARTITIONED),
]
COMMAND = [sys.executable, "-m", "bench.capture", "--rounds", "1", "--seconds", "1", "--rows", "50"]


def run(*arguments: str) -> str:
    finished = subprocess.run(
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, cwd=ROOT, env=environment(), timeout=110
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def test_the_conditions_benchmark_prints_every_line() -> None:
    """For people and for programs."""
    command = [sys.executable, "-m", "bench.conditions", "--rounds", "1", "--changes", "5"]
    printed: list[str] = []
    for arguments in ([], ["--json"]):
        finished = subprocess.run(
            [*command, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment(),
            timeout=110,
        )
        assert (finished.returncode, finished.stderr) == (0, "")
        printed.append(finished.stdout)
    lines = json.loads(printed[1])
    assert len(lines) > 10 and all(line["asked"][:60] in printed[0] for line in lines)
    assert all(spread["median"] > 0 for line in lines for spread in line["microseconds"].values())


def test_the_capture_benchmark_prints_every_row_for_people() -> None:
    """With its ratios; and it would fail if a change were not captured, or the daemon that sleeps not woken."""
    lines = [line.split() for line in run("--clients", "1,2").splitlines()]
    for clients in ("1 client", "2 clients"):
        for variant in SINGLE_ROW:
            (cells,) = [line for line in lines if line[:3] == [*clients.split(), variant]]
            assert len(cells) == 3 + 5
    for statement in ("INSERT", "UPDATE", "DELETE"):
        for variant in BULK:
            (cells,) = [line for line in lines if line[:2] == [statement, variant]]
            assert len(cells) == 2 + 5


def test_the_capture_benchmark_prints_every_row_for_programs() -> None:
    """With the facts needed to judge the figures: versions, machine and settings."""
    report: dict[str, Any] = json.loads(run("--clients", "2", "--json"))
    assert [(line["case"], line["variant"]) for line in report["single_row"]] == [
        ("2 clients", variant) for variant in SINGLE_ROW
    ]
    assert [(line["case"], line["variant"]) for line in report["bulk"]] == [
        (statement, variant) for statement in ("INSERT", "UPDATE", "DELETE") for variant in BULK
    ]
    for line in report["single_row"] + report["bulk"]:
        assert line["wal_bytes"]["median"] > 0
        assert len(line["ratios"]) == 3 and all(ratio["median"] > 0 for ratio in line["ratios"].values())
    assert report["settings"]["fsync"] == "on"
    assert {"postgresql", "system", "cores"} <= set(report["machine"])
