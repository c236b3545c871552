"""Running pgbench: clients that repeat one script at full speed or at a rate."""

import re
import subprocess
from dataclasses import dataclass

from bench.harness import BenchError
from jobhooks.embedded import EmbeddedServer, clean_environment

PROTOCOL = "prepared"
SINGLE_ROW_UPDATE = r"""
\set id random(1, :rows)
\set status random(1, 1000000)
update {} set status = :status, updated = now() where id = :id;
"""


@dataclass(frozen=True)
class Load:
    """The script of the clients, by default pgbench's TPC-B.

    ``variables`` are the script's; ``rate``: transactions per second of all clients.
    """

    script: str | None
    clients: int
    seconds: int
    variables: dict[str, int]
    rate: int | None = None


def initialise_pgbench(server: EmbeddedServer, database_url: str, scale: int) -> None:
    """Make the tables of TPC-B.

    Raises:
        BenchError: pgbench failed.
    """
    finished = subprocess.run(
        [server.binaries / "pgbench", "--initialize", "--quiet", f"--scale={scale}", database_url],
        check=False,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    if finished.returncode != 0:
        raise BenchError(f"pgbench failed: {finished.stderr.strip()}")


def run_pgbench(server: EmbeddedServer, database_url: str, load: Load) -> tuple[float, int]:
    """Run it, and compute the transactions per second and their number.

    Raises:
        BenchError: pgbench failed.
    """
    arguments = [
        *("--no-vacuum", f"--protocol={PROTOCOL}"),
        "--builtin=tpcb-like" if load.script is None else "--file=-",
        *(f"--time={load.seconds}", f"--client={load.clients}", f"--jobs={min(load.clients, 2)}"),
        *(f"--define={name}={value}" for name, value in load.variables.items()),
        *([] if load.rate is None else [f"--rate={load.rate}"]),
    ]
    finished = subprocess.run(
        [server.binaries / "pgbench", *arguments, database_url],
        check=False,
        input=load.script,
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    rate = re.search(r"^tps = ([\d.]+)", finished.stdout, re.MULTILINE)
    count = re.search(r"^number of transactions actually processed: (\d+)", finished.stdout, re.MULTILINE)
    if finished.returncode != 0 or rate is None or count is None or int(count[1]) == 0:
        raise BenchError(f"pgbench failed: {finished.stderr.strip()}")
    return float(rate[1]), int(count[1])
