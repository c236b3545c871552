"""From a page of changes to the runs that they owe."""

import asyncio
import datetime

import structlog

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.meta import is_async
from jobhooks.engine.loading import Findings
from jobhooks.engine.matching import Delivery, Hook, match
from jobhooks.engine.runner import AsyncRunner
from jobhooks.engine.settle import Outcome, failed, record_failure
from jobhooks.engine.snapshot import Snapshot
from jobhooks.engine.workers import Worker
from jobhooks.errors import AlreadySettled, UnknownJob
from jobhooks.store.connections import AsyncConnection, call_async

log = structlog.stdlib.get_logger()


class Dispatcher:
    """Matches changes with hooks and runs the receivers, one after the other.

    One after the other, in the order of the page: so the changes of each object are in order for each hook.
    ``conn`` is for what the dispatcher reads and writes itself; no receiver ever sees it.
    """

    def __init__(self, conn: AsyncConnection, runner: AsyncRunner, worker: Worker, findings: Findings) -> None:
        self._conn = conn
        self._runner = runner
        self._worker = worker
        self._findings = findings

    async def deliver(self, page: list[Change], stop: asyncio.Event) -> bool:
        """Deliver ``page``; return False where ``stop`` was set before all of it was.

        The hooks are read after the page, never before: a hook that was committed before a change must be there when
        that change is matched, or it would miss it for ever.
        """
        hooks = await self._active_hooks()
        deliveries = match(page, hooks)
        settled = await self._settled(deliveries)
        for delivery in deliveries:
            if (delivery.change.id, delivery.hook.id) in settled:
                continue
            if stop.is_set():
                return False
            await self._deliver(delivery)
        return True

    async def _deliver(self, delivery: Delivery) -> None:
        facts = {
            "change": delivery.change.id,
            "table": delivery.change.content_type.name,
            "action": delivery.change.action.value,
            "hook": delivery.hook.name,
            "receiver": delivery.hook.class_path,
            "attempt": delivery.attempt,
        }
        try:
            outcome = await self._run(delivery)
            if outcome.error is not None and outcome.rolled_back:
                await record_failure(self._conn, delivery.identity, outcome)
        except AlreadySettled:
            log.warning("delivery_already_settled", **facts)
            return
        if outcome.error is None:
            log.info("delivered", **facts)
        else:
            log.warning("delivery_failed", **facts, error=outcome.error)

    async def _run(self, delivery: Delivery) -> Outcome:
        found = self._findings.receivers.get(delivery.hook.class_path)
        if found is None:
            # Recorded and kept as a debt like any failure, so that a module that is broken for a day loses nothing.
            missing = UnknownJob(self._findings.why_missing(delivery.hook.class_path))
            return failed(datetime.datetime.now(datetime.UTC).isoformat(), ReceiverLog(), missing)
        if is_async(found.receiver):
            return await self._runner.run(found.receiver, delivery)
        return await self._worker.run(found.receiver, delivery)

    async def _active_hooks(self) -> list[Hook]:
        return [
            Hook(
                id=row["id"],
                name=row["name"],
                class_path=row["class_path"],
                content_type_ids=frozenset(row["content_type_ids"]),
                events=frozenset(map(ObjectChangeActionChoices, row["events"])),
                enabled_since=Snapshot.parse(row["enabled_since"]),
            )
            for row in await call_async(self._conn, "active_hooks")
        ]

    async def _settled(self, deliveries: list[Delivery]) -> set[tuple[int, int]]:
        if not deliveries:
            return set()
        changes = {delivery.change.id for delivery in deliveries}
        hooks = {delivery.hook.id for delivery in deliveries}
        rows = await call_async(self._conn, "settled_deliveries", list(changes), list(hooks))
        return {(row["change_id"], row["hook_id"]) for row in rows}
