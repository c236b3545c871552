"""Taking receivers as they are now, while the daemon runs: files that are added, changed or removed."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog
from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType] - of a type of a library that is not there

from jobhooks.discovery.loading import ReceiverRegistry, find_again
from jobhooks.discovery.sources import look
from jobhooks.engine.running.runner import Runner
from jobhooks.errors import JobhooksError

LOOK_S = 2.0  # between two looks of our own, and after jobs could not be recorded

log = structlog.stdlib.get_logger()


class Reloading:
    """Looks for changes, and has them taken between two deliveries. What runs goes on with the code that it began with.

    Whatever is wrong with what is there is reported, and its receivers stay what they were: a file that is half written
    stops nothing. The system tells of changes at once, where it can: not on each file system, not of what a link leads
    to, and not of a directory that another is put in the place of. So there is a look of our own as well, which is
    what counts.
    """

    def __init__(
        self, registry: ReceiverRegistry, runner: Runner, register: Callable[[ReceiverRegistry], None]
    ) -> None:
        self._registry = registry
        self._runner = runner
        self._register = register
        self._is_registered = True
        self._seen = self._look()
        self._told_why_unwatched = ""

    async def run(self, told: asyncio.Event) -> None:
        """Reload whenever something has changed, or ``told`` is set, until cancelled."""
        watching = asyncio.create_task(self._watch(told))
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await told.wait()
                try:
                    await self._look_again(told)
                except Exception:  # whatever it is, the next change is to be taken
                    log.exception("receivers_not_reloaded")
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _look_again(self, told: asyncio.Event) -> None:
        # Looked at before it is read: what changes meanwhile is found by the next look.
        seen = await asyncio.to_thread(self._look)
        if told.is_set() or seen != self._seen:
            told.clear()
            self._seen = seen
            await self._reload()
        await self._make_jobs()

    def _look(self) -> list[object]:
        return [look(place.path) for place in self._registry.places]

    async def _watch(self, told: asyncio.Event) -> None:
        """Have it told at once when files change, as far as the system does that."""
        while True:
            there = self._that_exist()
            if not there:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                paths = [path for path, _, _ in there]
                async for changes in awatch(*paths, rust_timeout=int(LOOK_S * 1000), yield_on_timeout=True):
                    if changes:
                        told.set()
                    if self._that_exist() != there:
                        break
            except Exception as exc:  # noqa: BLE001 - the library's own errors, too; our own looks go on without it
                if str(exc) != self._told_why_unwatched:
                    self._told_why_unwatched = str(exc)
                    log.warning("receivers_cannot_be_watched", error=str(exc), looked_at_every_s=LOOK_S)
                await asyncio.sleep(LOOK_S)

    def _that_exist(self) -> list[tuple[str, int, int]]:
        """Return the directories that are there, and what tells them from others of their name."""
        found: list[tuple[str, int, int]] = []
        for place in self._registry.places:
            with contextlib.suppress(OSError):
                status = place.path.stat()
                if place.path.is_dir():
                    found.append((str(place.path), status.st_dev, status.st_ino))
        return found

    async def _reload(self) -> None:
        former = self._registry
        found = await asyncio.to_thread(find_again, former)
        before, after = former.receivers, found.receivers
        for broken in found.broken:
            if broken not in former.broken:
                log.error("receiver_module_broken", path=str(broken.path), line=broken.line, error=broken.error)
        mended = bool(former.broken) and not found.broken
        changed = sorted(path for path in before if path in after and after[path] is not before[path])
        added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
        for path in [*changed, *added]:
            for warning in after[path].meta.warnings:
                log.warning("receiver_meta_warning", receiver=path, path=str(after[path].path), warning=warning)
        # From here on nothing is awaited: each delivery finds all of the old, or all of the new.
        former.take(found)
        self._runner.retire()
        if changed or added or removed or mended:
            self._is_registered = False
            log.info("receivers_reloaded", added=added, changed=changed, removed=removed)

    async def _make_jobs(self) -> None:
        if not self._is_registered:
            try:
                await asyncio.to_thread(self._register, self._registry)
                self._is_registered = True
            except JobhooksError as exc:
                log.warning("jobs_not_recorded", error=str(exc), next_attempt_s=LOOK_S)
