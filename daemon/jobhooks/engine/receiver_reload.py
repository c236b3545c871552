"""Reloading receivers while the daemon runs, when their files are added, changed or removed."""

import asyncio
import contextlib
import logging
from pathlib import Path

from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType] - of a type of a library that is not there

from jobhooks.discovery import trial
from jobhooks.discovery.loading import find_again
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.discovery.sources import look
from jobhooks.engine.running.runner import Runner
from jobhooks.errors import first_error
from jobhooks.runtime.event_log import get_logger

LOOK_S = 2.0  # between two looks at the files

log = get_logger()


class ReceiverReload:
    """Looks for changed files, and swaps receivers between two deliveries. A running one keeps the code it began with.

    If something is wrong with a file, that is logged, and its receivers stay as they were: a half-written file stops
    nothing. The system reports changes without delay where it can. It does not on every file system, nor for the target
    of a link, nor when one directory replaces another. So this class also looks by itself, and those looks decide.
    """

    def __init__(self, registry: ReceiverRegistry, runner: Runner) -> None:
        self._registry = registry
        self._runner = runner
        self._seen = self._look()
        self._logged_failure = ""

    async def run(self, requested: asyncio.Event) -> None:
        """Reload whenever files have changed or ``requested`` is set, until cancelled."""
        watching = asyncio.create_task(self._watch(requested))
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await requested.wait()
                try:
                    await self._look_again(requested)
                except Exception:  # the next change must still be noticed
                    log.exception("receivers_not_reloaded")
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _look_again(self, requested: asyncio.Event) -> None:
        # Look before reading the files: a change during the reading is found by the next look.
        seen = await asyncio.to_thread(self._look)
        if requested.is_set() or seen != self._seen:
            requested.clear()
            self._seen = seen
            await self._reload()

    def _look(self) -> list[object]:
        return [look(place.path) for place in self._registry.places]

    async def _watch(self, requested: asyncio.Event) -> None:
        """Request a reload as soon as the system reports changed files."""
        logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it logs each change, which receivers_reloaded says
        while True:
            there = self._existing_directories()
            if not there:
                await asyncio.sleep(LOOK_S)
                continue
            try:
                paths = [path for path, _, _ in there]
                async for changes in awatch(*paths, rust_timeout=int(LOOK_S * 1000), yield_on_timeout=True):
                    if changes:
                        requested.set()
                    if self._existing_directories() != there:
                        break
            except Exception as exc:  # noqa: BLE001 - includes the library's own errors; looking goes on without it
                reason = str(first_error(exc))  # the library waits in a task group
                if reason != self._logged_failure:
                    self._logged_failure = reason
                    log.warning("receivers_cannot_be_watched", error=reason, looked_at_every_s=LOOK_S)
                await asyncio.sleep(LOOK_S)

    def _existing_directories(self) -> list[tuple[str, int, int]]:
        """The directories that exist, each with the numbers that tell it from another one of the same name."""
        found: list[tuple[str, int, int]] = []
        for place in self._registry.places:
            with contextlib.suppress(OSError):
                status = place.path.stat()
                if place.path.is_dir():
                    found.append((str(place.path), status.st_dev, status.st_ino))
        return found

    async def _reload(self) -> None:
        former = self._registry
        found = await asyncio.to_thread(find_again, former, trial.in_new_process)
        before, after = former.receivers, found.receivers
        mended = _report(former, found)
        changed = sorted(path for path in before if path in after and after[path] is not before[path])
        added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
        for path in [*changed, *added]:
            for warning in after[path].meta.warnings:
                log.warning("receiver_meta_warning", receiver=path, path=str(after[path].path), warning=warning)
        # No await from here on: each delivery finds all of the old receivers, or all of the new ones.
        former.take(found)
        self._runner.retire()
        if changed or added or removed or mended:
            log.info("receivers_reloaded", added=added, changed=changed, removed=removed)


def _report(former: ReceiverRegistry, found: ReceiverRegistry) -> list[Path]:
    """Log new faults: missing receivers, broken and missing files. Log and return the files that import again."""
    for name, note in found.notes.items():
        if former.notes.get(name) != note:
            log.warning("receiver_module_without_receiver", path=str(note.path), line=note.line, reason=note.error)
    for broken in found.broken:
        if broken not in former.broken:
            log.error("receiver_module_broken", path=str(broken.path), line=broken.line, error=broken.error)
    mended = sorted({broken.path for broken in former.broken} - {broken.path for broken in found.broken})
    for path in mended:
        log.info("receiver_module_mended", path=str(path))
    for path in found.missing:
        if path not in former.missing:
            log.warning("receivers_path_missing", path=str(path))
    return mended
