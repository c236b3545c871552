"""Records the loaded receivers of this daemon in the database: when it begins to lead, and after each change."""

import asyncio
import contextlib

import msgspec

from jobhooks.contract.job_settings import RULES
from jobhooks.contract.log import clean_text
from jobhooks.discovery.registry import FoundReceiver, ReceiverRegistry
from jobhooks.errors import DatabaseUnreachable, JobhooksError, LeadsNoMore
from jobhooks.runtime.event_log import get_logger
from jobhooks.store.connections import AsyncpgArguments, call_async, close_async, connect_async
from jobhooks.store.storable_text import storable_json

AGAIN_S = 2.0  # after it could not be recorded, for example because a session has locked a job

log = get_logger()


class LoadedReceivers:
    """Records the receivers of ``registry`` and its broken modules, for the daemon that leads as number ``leader``.

    It uses a new connection each time: a session that has locked a job holds up nothing else.
    """

    def __init__(self, arguments: AsyncpgArguments, leader: int, registry: ReceiverRegistry) -> None:
        self._arguments = arguments
        self._leader = leader
        self._registry = registry
        self._changed = asyncio.Event()
        registry.recorders.append(self._changed.set)

    async def record(self) -> None:
        """Record it; if that fails, ``run`` tries again.

        Raises:
            LeadsNoMore: another daemon leads.
            DatabaseUnreachable: the database is gone.
        """
        self._changed.clear()
        try:
            await self._record()
        except (DatabaseUnreachable, LeadsNoMore):
            raise
        except JobhooksError as exc:
            self._changed.set()
            log.warning("jobs_not_recorded", error=str(exc), next_attempt_s=AGAIN_S)

    async def run(self) -> None:
        """Record each change, until cancelled. While the database is gone, the session notices that itself.

        Raises:
            LeadsNoMore: another daemon leads.
        """
        while True:
            await self._changed.wait()
            try:
                await self.record()
            except DatabaseUnreachable:
                self._changed.set()
            if self._changed.is_set():
                await asyncio.sleep(AGAIN_S)

    async def _record(self) -> None:
        conn = await connect_async(self._arguments)
        try:
            loaded = msgspec.json.encode(_loaded(self._registry)).decode()
            encoding = conn.get_settings().server_encoding
            await call_async(conn, "record_receivers", leader=self._leader, loaded=storable_json(loaded, encoding))
        finally:
            with contextlib.suppress(DatabaseUnreachable):
                await close_async(conn)


def _loaded(registry: ReceiverRegistry) -> dict[str, object]:
    return {
        "receivers": [_receiver(found) for found in registry.receivers.values()],
        "broken": [
            {
                "module": clean_text(broken.module),
                "path": clean_text(broken.path),
                "line": broken.line,
                "error": clean_text(broken.error),
            }
            for broken in registry.broken
        ],
        "missing": [clean_text(path) for path in registry.missing],
    }


def _receiver(found: FoundReceiver) -> dict[str, object]:
    return {
        "class_path": found.class_path,
        "settings": {name: getattr(found.meta, name) for name in RULES},
        "data_schema": None if found.data_type is None else found.data_type.schema,
        "path": clean_text(found.path),
        "line": found.line,
        "source_hash": found.source_hash,
        "version": found.version,
        "package": found.package,
    }
