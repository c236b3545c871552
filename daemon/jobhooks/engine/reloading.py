"""Taking receivers as they are now, while the daemon runs: files that are added, changed or removed."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import structlog
from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType] - of a type of a library that is not there

from jobhooks.engine.loading import Findings, find_receivers
from jobhooks.engine.workers import Workers
from jobhooks.errors import JobhooksError

LOOK_S = 5.0  # between two looks for directories that have come or gone, and after jobs could not be recorded

log = structlog.stdlib.get_logger()


class Reloading:
    """Looks for changes, and has them taken between two deliveries. What runs goes on with the code that it began with.

    A module that does not import any more is reported, and its receivers stay what they were: a file that is half
    written stops nothing.
    """

    def __init__(self, findings: Findings, workers: Workers, register: Callable[[Findings], None]) -> None:
        self._findings = findings
        self._workers = workers
        self._register = register
        self._is_registered = True

    async def run(self, told: asyncio.Event) -> None:
        """Reload whenever files change, or ``told`` is set, until cancelled."""
        watching = asyncio.create_task(self._watch(told))
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if self._is_registered else LOOK_S):
                        await told.wait()
                if told.is_set():
                    told.clear()
                    await self._reload()
                await self._make_jobs()
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self, told: asyncio.Event) -> None:
        while True:
            there = _that_exist(self._findings.watched)
            if not there:
                await asyncio.sleep(LOOK_S)
            else:
                try:
                    async for changes in awatch(*there, rust_timeout=int(LOOK_S * 1000), yield_on_timeout=True):
                        if changes:
                            told.set()
                        if _that_exist(self._findings.watched) != there:
                            break
                except (OSError, RuntimeError) as exc:  # one of them went that moment, or may not be watched
                    log.warning("receivers_cannot_be_watched", error=str(exc))
                    await asyncio.sleep(LOOK_S)
            if _that_exist(self._findings.watched) != there:
                told.set()

    async def _reload(self) -> None:
        former = self._findings
        found = await asyncio.to_thread(find_receivers, former.watched, former)
        before, after = dict(former.receivers), found.receivers
        for broken in found.broken:
            if broken not in former.broken:
                log.error("receiver_module_broken", path=str(broken.path), line=broken.line, error=broken.error)
        changed = [path for path in before if path in after and after[path] is not before[path]]
        added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
        for path in [*changed, *added]:
            for warning in after[path].meta.warnings:
                log.warning("receiver_meta_warning", receiver=path, path=str(after[path].path), warning=warning)
        # From here on nothing is awaited: each delivery finds all of the old, or all of the new.
        former.take(found)
        for path in [*changed, *removed]:
            self._workers.retire(path)
        if changed or added or removed:
            self._is_registered = False
            log.info("receivers_reloaded", added=added, changed=sorted(changed), removed=removed)

    async def _make_jobs(self) -> None:
        if not self._is_registered:
            try:
                await asyncio.to_thread(self._register, self._findings)
                self._is_registered = True
            except JobhooksError as exc:
                log.warning("jobs_not_recorded", error=str(exc), next_attempt_s=LOOK_S)


def _that_exist(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        with contextlib.suppress(OSError):
            if path.is_dir():
                found.append(path)
    return found
