"""What the engine asks the database: which hooks there are, what is settled, and which debts are due."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile

import asyncpg
import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.log import clean_text
from jobhooks.engine.delivery.backlog_position import BacklogPosition
from jobhooks.engine.delivery.coalescing import can_be_merged, merged
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery, deliveries_of
from jobhooks.engine.delivery.lane import lane_numbers
from jobhooks.engine.settling.active_hooks import load_active_hooks
from jobhooks.matching.condition_failures import ConditionFailures
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.store.change_rows import change_of, load_content_types
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.snapshot import Snapshot
from jobhooks.store.storable_text import storable
from jobhooks.store.undecodable_text import call_readable_async

MOST_MERGED = 10_000  # debts in one delivery
LONGEST_ERROR = 1_000  # characters of why conditions could not be evaluated


@dataclass(frozen=True)
class TakenUp:
    """Due debts of a hook, the position after them, and which of them somebody has settled without saying so."""

    deliveries: list[Delivery]
    position: BacklogPosition
    settled: list[Delivery]


class Ledger:
    """What the database says now. For whoever holds the settler's lock, whose connection this uses."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self.condition_failures = ConditionFailures()

    async def hooks(self) -> HookTable:
        """Return the active hooks.

        The version first: so the hooks are of this version or newer, and never older than they are said to be.
        """
        return await load_active_hooks(self._conn, self.condition_failures.note)

    async def write_condition_failures(self) -> None:
        """Count those that are not written down; what cannot be, as somebody is changing a hook now, next time."""
        counts = self.condition_failures.take()
        encoding = self._conn.get_settings().server_encoding
        rows = [
            {
                "hook_id": hook_id,
                "conditions": count.last.hook.conditions,
                "failures": count.changes,
                "change_id": None if count.last.change is None else count.last.change.id,
                "invalid": count.last.invalid,
                "error": storable(clean_text(count.last.error)[:LONGEST_ERROR], encoding),
            }
            for hook_id, count in counts.items()
        ]
        if rows:
            rows_json = msgspec.json.encode(rows).decode()
            ((written,),) = await call_async(self._conn, "note_condition_failures", rows_json)
            if not written:
                self.condition_failures.put_back(counts)

    async def has_result(self, delivery: Delivery) -> bool:
        """Return whether the attempt that is next, or runs, has a result."""
        identity = delivery.identity
        return bool(await call_async(self._conn, "result_of", identity.change_id, identity.hook_id, identity.attempt))

    async def last_settled(self) -> int:
        """Return the id of a change after which none was settled or parked."""
        ((last,),) = await call_async(self._conn, "last_settled")
        return last

    async def settled(self, deliveries: list[Delivery]) -> set[tuple[int, int]]:
        """Return which of the deliveries, as change and hook, are settled or parked."""
        changes = {delivery.change.id for delivery in deliveries}
        hooks = {delivery.hook.id for delivery in deliveries}
        rows = await call_async(self._conn, "settled_deliveries", list(changes), list(hooks))
        return {(row["change_id"], row["hook_id"]) for row in rows}

    async def owing(self, hook_ids: Iterable[int], many: int) -> dict[int, bool]:
        """Return the hooks that have debts, and whether that is ``many`` or more that wait for an attempt."""
        rows = await call_async(self._conn, "hooks_with_debts", list(hook_ids), many)
        return {row["hook_id"]: row["many"] for row in rows}

    async def blocked(self, hook_id: int, deliveries: list[Delivery]) -> set[int]:
        """Return the ids of the changes, of those of one hook, that must wait for a debt of it."""
        numbers = [lane_numbers(delivery.lanes) for delivery in deliveries]
        rows = await call_async(
            self._conn,
            "blocked_deliveries",
            hook_id,
            [delivery.change.id for delivery in deliveries],
            [delivery.change.content_type.id for delivery in deliveries],
            [lane for lane, _ in numbers],
            [other_lane for _, other_lane in numbers],
        )
        return {row["change_id"] for row in rows}

    async def due(self, hook: Hook, after: BacklogPosition, most: int) -> TakenUp:
        """Return the hook's debts that are due, after a position, at most ``most``."""
        rows = await call_readable_async(
            self._conn, "due_debts", hook.id, after.due_at, after.change_id, most, PAGE_BYTES
        )
        taken_up = TakenUp([], after, [])
        content_types = await load_content_types(self._conn) if rows else {}
        for row in rows:
            change = change_of(row, content_types)
            (delivery,) = deliveries_of(change, [hook])
            delivery.attempts, delivery.failures, delivery.parked = row["attempts"], row["failures"], True
            (taken_up.settled if row["settled"] else taken_up.deliveries).append(delivery)
        if rows:
            position = BacklogPosition(rows[-1]["due_at"], rows[-1]["id"])
            return TakenUp(taken_up.deliveries, position, taken_up.settled)
        return taken_up

    async def merge(self, heads: list[Delivery], admitted: Cursor) -> None:
        """Merge into each of these debts of one hook what waits for it: of its transaction, or all of its object.

        Only what has been read by now with all of its transaction.
        """
        heads = [head for head in heads if can_be_merged(head.change) and lane_numbers(head.lanes)[1] is None]
        chains = await self._chains(heads, admitted)
        lasts = await self._changes([chain[-1].change.id for chain in chains.values()])
        for head in heads:
            if head.change.id in chains:
                chain = chains[head.change.id]
                _merge(head, chain, lasts[chain[-1].change.id])

    async def _chains(self, heads: list[Delivery], admitted: Cursor) -> dict[int, list[Delivery]]:
        """Return, by the id of its change, what is to be merged into each of these debts, if there is anything."""
        if not heads:
            return {}
        rows = await call_async(
            self._conn,
            "debts_behind",
            heads[0].hook.id,
            [head.change.id for head in heads],
            [head.change.content_type.id for head in heads],
            [lane_numbers(head.lanes)[0] for head in heads],
            MOST_MERGED,
        )
        seen = Snapshot.parse(admitted.seen)
        chains: dict[int, list[Delivery]] = {}
        for head in heads:
            chain = takewhile(
                lambda row: (
                    seen.sees(row["transaction_id"])
                    and (head.hook.coalesce_s or row["transaction_id"] == head.change.transaction_id)  # noqa: B023
                ),
                [row for row in rows if row["head_id"] == head.change.id],
            )
            if merged := [_merged(head, row) for row in chain]:
                chains[head.change.id] = merged
        return chains

    async def _changes(self, ids: list[int]) -> dict[int, Change]:
        rows = await call_readable_async(self._conn, "merged_changes", ids) if ids else []
        content_types = await load_content_types(self._conn) if rows else {}
        return {row["id"]: change_of(row, content_types) for row in rows}

    async def next_due(self, positions: dict[int, BacklogPosition]) -> float | None:
        """Return in how many seconds a debt is due after these positions, less than 0 if one is; None: never."""
        ((seconds,),) = await call_async(
            self._conn,
            "next_due",
            list(positions),
            [position.due_at for position in positions.values()],
            [position.change_id for position in positions.values()],
        )
        return seconds


def _merged(head: Delivery, row: asyncpg.Record) -> Delivery:
    """Return a debt that is merged into another: of its change no more is needed than which it is."""
    change = replace(
        head.change,
        id=row["id"],
        transaction_id=row["transaction_id"],
        prechange_json=None,
        postchange_json=None,
    )
    return Delivery(change, head.hook, head.lanes, attempts=row["attempts"], parked=True)


def _merge(head: Delivery, chain: list[Delivery], last: Change) -> None:
    """Have a debt delivered with those behind it; not where that would be another event than the hook is for."""
    if not can_be_merged(last):
        return
    shown = merged(head.change, last)
    if shown is None or shown.action in head.hook.events:
        head.shown, head.merged = shown, tuple(chain)
