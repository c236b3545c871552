"""An oracle judges deliveries: each hook gets each change once and in order, through kills, takeovers and operators."""

import time
from collections.abc import Generator
from pathlib import Path

import pytest

from conftest import Connection
from support.chaos.churning import Mix, Writer, add_all_hooks, make_tables, write_all_receivers
from support.chaos.mishaps import Mishaps, observe, read_log
from support.chaos.oracle import faults
from support.daemon import await_no_session

SMALL = Mix(
    writers=2,
    steps=(250, 250),
    keys=12,
    pause_s=0.05,
    mishaps=1,
    slow_one_in=300,
    fail_one_in=15,
    truncate_one_in=100,
    lag_s=0.01,
    page_sizes=(5, 20, 500),
    limit_s=60,
)
LARGE = Mix(
    writers=2,
    steps=(20_000, 580_000),
    keys=2_000,
    pause_s=0.01,
    mishaps=10,
    slow_one_in=20_000,
    fail_one_in=200,
    truncate_one_in=20_000,
    lag_s=0.002,
    page_sizes=(50, 500, 500, 2_000),
    limit_s=1_500,
)


@pytest.fixture
def churned(conn: Connection) -> Generator[Connection]:
    """The client's connection; no session of a daemon is left at the end."""
    yield conn
    await_no_session(conn)


@pytest.mark.chaos
@pytest.mark.parametrize(
    "mix",
    [
        pytest.param(SMALL, id="small"),
        pytest.param(LARGE, id="large", marks=[pytest.mark.nightly, pytest.mark.timeout(1_800)]),
    ],
)
def test_each_hook_gets_each_change_once_and_in_order(
    churned: Connection, database: str, tmp_path: Path, mix: Mix, seed: int
) -> None:
    """With changes of keys, failures, slow runs, a lagging hook, merging, batches, rates; pauses, reloads, kills."""
    write_all_receivers(tmp_path / "receivers", mix, seed)
    make_tables(churned, mix)
    promises = add_all_hooks(churned, database, tmp_path / "receivers")
    writers = [Writer(database, mix, number, seed) for number in range(mix.writers)]
    mishaps = Mishaps(database, churned, tmp_path, mix, seed)
    with mishaps.daemons():
        for writer in writers:
            writer.start()
        mishaps.happen(writers, time.monotonic() + mix.limit_s / 2)
        assert [writer.error for writer in writers if writer.error is not None] == []
        mishaps.await_end(mix.limit_s)
        assert mishaps.tracebacks() == []
    log = read_log(churned)
    found = [
        fault
        for hook_id, promise in promises.items()
        for fault in faults(log, promise, observe(churned, hook_id, promise, tmp_path))
    ]
    assert found == []
