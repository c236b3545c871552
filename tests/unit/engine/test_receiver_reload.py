"""What the daemon logs while it watches the files of receivers."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import cast

import pytest
from structlog.testing import capture_logs

from jobhooks.discovery.loading import find_receivers
from jobhooks.engine import receiver_reload
from jobhooks.engine.receiver_reload import ReceiverReload
from jobhooks.engine.running.runner import Runner


async def awatch_without_descriptors(*_paths: str, **_settings: object) -> AsyncGenerator[set[object]]:
    """Fails as the library does, which waits in a task group."""
    async with asyncio.TaskGroup() as group:
        await group.create_task(out_of_descriptors())
    yield set()


async def out_of_descriptors() -> None:
    raise OSError(24, "Too many open files")


def test_the_log_says_why_the_system_reports_no_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(receiver_reload, "awatch", awatch_without_descriptors)

    async def fail_to_watch() -> None:
        reloading = ReceiverReload(find_receivers([tmp_path]), cast("Runner", None))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reloading.run(asyncio.Event())

    with capture_logs() as lines:
        asyncio.run(fail_to_watch())
    assert [(line["event"], line["error"]) for line in lines] == [
        ("receivers_cannot_be_watched", "[Errno 24] Too many open files")
    ]
