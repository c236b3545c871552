"""The engine's queries: active hooks, settled deliveries, and the backlog entries that are due."""

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
from jobhooks.matching.conditions import why_invalid
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.store.change_rows import change_of, load_content_types
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.snapshot import Snapshot
from jobhooks.store.storable_text import storable
from jobhooks.store.undecodable_text import call_readable_async

MOST_MERGED = 10_000  # backlog entries in one delivery
MAX_CHECKED = 100  # conditions that are compiled in one go, which takes up to some milliseconds each
LONGEST_ERROR = 1_000  # characters of the reason why conditions could not be evaluated


@dataclass(frozen=True)
class DueEntries:
    """Due backlog entries of a hook, and the position after them.

    ``settled``: entries whose result exists already. The run committed, and its daemon did not learn of that.
    """

    deliveries: list[Delivery]
    position: BacklogPosition
    settled: list[Delivery]


class Ledger:
    """Queries on the settler's connection. The caller holds the settler's lock."""

    def __init__(self, conn: AsyncConnection) -> None:
        self._conn = conn
        self.condition_failures = ConditionFailures()
        self._has_unchecked = False

    async def hooks(self) -> HookTable:
        """Load the active hooks, and check the conditions of all hooks that no program has compiled."""
        hooks = await load_active_hooks(self._conn, self.condition_failures.note)
        await self._check_conditions()
        return hooks

    @property
    def has_unwritten(self) -> bool:
        """Whether ``write_condition_failures`` has anything to do."""
        return self._has_unchecked or bool(self.condition_failures)

    async def _check_conditions(self) -> None:
        """Compile unchecked conditions and record the verdicts; the rest next time, as if a hook is locked."""
        rows = await call_async(self._conn, "unchecked_conditions", limit=MAX_CHECKED)
        encoding = self._conn.get_settings().server_encoding
        verdicts = [
            {**row, "error": None if error is None else storable(clean_text(error)[:LONGEST_ERROR], encoding)}
            for row, error in ((row, why_invalid(row["conditions"])) for row in rows)
        ]
        self._has_unchecked = len(rows) == MAX_CHECKED
        if verdicts:
            verdicts_json = msgspec.json.encode(verdicts).decode()
            ((written,),) = await call_async(self._conn, "note_condition_verdicts", verdicts=verdicts_json)
            self._has_unchecked |= not written

    async def write_condition_failures(self) -> None:
        """Write the counts of failed conditions; keep them for the next time while another session changes a hook."""
        if self._has_unchecked:
            await self._check_conditions()
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
            ((written,),) = await call_async(self._conn, "note_condition_failures", failures=rows_json)
            if not written:
                self.condition_failures.put_back(counts)

    async def has_result(self, delivery: Delivery) -> bool:
        """Whether the current or next attempt has a result."""
        identity = delivery.identity
        rows = await call_async(
            self._conn,
            "result_of",
            change_id=identity.change_id,
            hook_id=identity.hook_id,
            attempt=identity.attempt,
        )
        return bool(rows)

    async def last_settled(self) -> int:
        """The id of the last change of which a delivery may have been settled or parked."""
        ((last,),) = await call_async(self._conn, "last_settled")
        return last

    async def settled(self, deliveries: list[Delivery]) -> set[tuple[int, int]]:
        """The deliveries, as change and hook, that are settled or parked."""
        changes = {delivery.change.id for delivery in deliveries}
        hooks = {delivery.hook.id for delivery in deliveries}
        rows = await call_async(self._conn, "settled_deliveries", change_ids=list(changes), hook_ids=list(hooks))
        return {(row["change_id"], row["hook_id"]) for row in rows}

    async def hooks_with_backlog(self, hook_ids: Iterable[int], many: int) -> dict[int, bool]:
        """The hooks that have entries, and whether ``many`` or more of their entries wait for an attempt."""
        rows = await call_async(self._conn, "hooks_with_debts", hook_ids=list(hook_ids), many=many)
        return {row["hook_id"]: row["many"] for row in rows}

    async def blocked(self, hook_id: int, deliveries: list[Delivery]) -> set[int]:
        """The ids of the changes whose deliveries must wait for an entry of this hook."""
        numbers = [lane_numbers(delivery.lanes) for delivery in deliveries]
        rows = await call_async(
            self._conn,
            "blocked_deliveries",
            hook_id=hook_id,
            change_ids=[delivery.change.id for delivery in deliveries],
            content_type_ids=[delivery.change.content_type.id for delivery in deliveries],
            lanes=[lane for lane, _ in numbers],
            other_lanes=[other_lane for _, other_lane in numbers],
        )
        return {row["change_id"] for row in rows}

    async def due_entries(self, hook: Hook, after: BacklogPosition, most: int) -> DueEntries:
        """The hook's entries that are due, after a position, at most ``most``."""
        rows = await call_readable_async(
            self._conn,
            "due_debts",
            hook_id=hook.id,
            after_due_at=after.due_at,
            after_change_id=after.change_id,
            limit=most,
            max_bytes=PAGE_BYTES,
        )
        found = DueEntries([], after, [])
        content_types = await load_content_types(self._conn) if rows else {}
        for row in rows:
            change = change_of(row, content_types)
            (delivery,) = deliveries_of(change, [hook])
            delivery.attempts, delivery.failures, delivery.parked = row["attempts"], row["failures"], True
            (found.settled if row["settled"] else found.deliveries).append(delivery)
        if rows:
            position = BacklogPosition(rows[-1]["due_at"], rows[-1]["id"])
            return DueEntries(found.deliveries, position, found.settled)
        return found

    async def merge(self, heads: list[Delivery], admitted: Cursor) -> None:
        """Coalesce the entries that wait for each of these into it: those of its transaction, or all of its object.

        Only changes whose whole transaction has been read.
        """
        heads = [head for head in heads if can_be_merged(head.change) and lane_numbers(head.lanes)[1] is None]
        chains = await self._chains(heads, admitted)
        lasts = await self._changes([chain[-1].change.id for chain in chains.values()])
        for head in heads:
            if head.change.id in chains:
                chain = chains[head.change.id]
                _merge(head, chain, lasts[chain[-1].change.id])

    async def _chains(self, heads: list[Delivery], admitted: Cursor) -> dict[int, list[Delivery]]:
        """The entries to coalesce into each of these, by the id of its change; entries without any are left out."""
        if not heads:
            return {}
        rows = await call_async(
            self._conn,
            "debts_behind",
            hook_id=heads[0].hook.id,
            change_ids=[head.change.id for head in heads],
            content_type_ids=[head.change.content_type.id for head in heads],
            lanes=[lane_numbers(head.lanes)[0] for head in heads],
            limit=MOST_MERGED,
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
        rows = await call_readable_async(self._conn, "merged_changes", ids=ids) if ids else []
        content_types = await load_content_types(self._conn) if rows else {}
        return {row["id"]: change_of(row, content_types) for row in rows}

    async def next_due(self, positions: dict[int, BacklogPosition]) -> float | None:
        """In how many seconds an entry after these positions is due, below 0 if one is due now; no number: never."""
        ((seconds,),) = await call_async(
            self._conn,
            "next_due",
            hook_ids=list(positions),
            due_at=[position.due_at for position in positions.values()],
            change_ids=[position.change_id for position in positions.values()],
        )
        return seconds


def _merged(head: Delivery, row: asyncpg.Record) -> Delivery:
    """An entry that is coalesced into another one; only the identity of its change is needed."""
    change = replace(
        head.change,
        id=row["id"],
        transaction_id=row["transaction_id"],
        prechange_json=None,
        postchange_json=None,
    )
    return Delivery(change, head.hook, head.lanes, attempts=row["attempts"], parked=True)


def _merge(head: Delivery, chain: list[Delivery], last: Change) -> None:
    """Deliver an entry with those behind it, unless that makes an event that the hook does not ask for."""
    if not can_be_merged(last):
        return
    shown = merged(head.change, last)
    if shown is None or shown.action in head.hook.events:
        head.shown, head.merged = shown, tuple(chain)
