"""The engine's queries: active hooks, settled deliveries, and the backlog."""

import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from typing import Any

import asyncpg
import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.log import clean_text
from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine.delivery.backlog_row import BacklogRow, request_number
from jobhooks.engine.delivery.coalescing import can_be_merged, merged
from jobhooks.engine.delivery.cursor import Cursor
from jobhooks.engine.delivery.delivery import PAGE_BYTES, Delivery, delivery_of_row, delivery_to_parents
from jobhooks.engine.delivery.lane import lane_keys, lane_numbers
from jobhooks.engine.settling.active_hooks import load_active_hooks
from jobhooks.engine.settling.chain_ends import ChainEnds
from jobhooks.matching.condition_failures import ConditionFailures
from jobhooks.matching.condition_kinds import why_wrong
from jobhooks.matching.conditions import why_invalid
from jobhooks.matching.hook_table import Hook, HookTable
from jobhooks.matching.logged_columns import logged_columns
from jobhooks.matching.parent_updates import DeletedParents, updates_of
from jobhooks.runtime.event_log import get_logger
from jobhooks.store.change_rows import ContentTypes, change_of, load_content_types
from jobhooks.store.connections import AsyncConnection, call_async
from jobhooks.store.storable_text import storable
from jobhooks.store.undecodable_text import call_readable_async

MAX_CHECKED = 100  # conditions that are compiled in one go, which takes up to some milliseconds each
FEW_CHANGES = 100  # in memory at a time
LOOK_AGAIN_S = 5.0  # until conditions that do not fit the tables are compared again
LONGEST_ERROR = 1_000  # characters of the reason why conditions could not be evaluated
NO_ROWS: Mapping[int, BacklogRow] = {}

log = get_logger()


class Ledger:
    """Queries on the settler's connection. The caller holds the settler's lock."""

    def __init__(self, conn: AsyncConnection, registry: ReceiverRegistry) -> None:
        self._conn = conn
        self._registry = registry
        self.condition_failures = ConditionFailures()
        self.chain_ends = ChainEnds()
        self._content_types: ContentTypes = {}
        self._content_types_version: str | None = None
        self._has_unchecked = False
        self._look_again_at = inf
        self.has_other_verdicts = False  # than the hooks that ``hooks`` loaded

    async def hooks(self) -> HookTable:
        """Load the active hooks, and check the conditions and data of all hooks that no program has checked yet."""
        ((version,),) = await call_async(self._conn, "configuration_version")
        await self._check()
        self.has_other_verdicts = False
        return await load_active_hooks(self._conn, version, self.condition_failures.note, self.chain_ends.note)

    def check_again(self) -> None:
        """Check the hooks again before long: there are other receivers."""
        self._has_unchecked = True

    @property
    def has_unwritten(self) -> bool:
        """Whether ``write_counts`` has anything to do."""
        has_counts = bool(self.condition_failures or self.chain_ends)
        return self._has_unchecked or has_counts or time.monotonic() >= self._look_again_at

    async def _check(self) -> None:
        """Check conditions and data, and record the verdicts; the rest next time, as if a hook is locked."""
        self._has_unchecked = False
        await self._check_conditions()
        await self._check_data()

    async def _check_conditions(self) -> None:
        """Record whether conditions compile and fit the tables. Those that did once are left to the doctor."""
        unchecked = await call_async(self._conn, "unchecked_conditions", limit=MAX_CHECKED)
        rows = [dict(row) for row in (*unchecked, *await call_async(self._conn, "refused_conditions"))]
        self._look_again_at = inf
        self._has_unchecked |= len(unchecked) == MAX_CHECKED
        if not rows:
            return
        tables = sorted({table for row in rows for table in row["tables"]})
        known = [tuple(row) for row in await call_readable_async(self._conn, "logged_columns", tables=tables)]
        verdicts: list[dict[str, object]] = []
        others = False
        for number, row in enumerate(rows):
            error = self._error(row, known)
            if number < len(unchecked) or error != row["error"]:
                verdicts.append({"hook_id": row["hook_id"], "conditions": row["conditions"], "error": error})
                others = others or error is not None or row["error"] is not None
        if verdicts:
            verdicts_json = msgspec.json.encode(verdicts).decode()
            ((written,),) = await call_async(self._conn, "note_condition_verdicts", verdicts=verdicts_json)
            self._has_unchecked |= not written
            self.has_other_verdicts |= written and others

    def _error(self, row: Mapping[str, Any], known: Sequence[tuple[Any, ...]]) -> str | None:
        """The verdict on conditions: null if they are right."""
        error = why_invalid(row["conditions"])
        if error is None and not row["former"]:
            columns = logged_columns(row["tables"], known)
            error = None if columns is None else why_wrong(row["conditions"], columns)
            if error is not None:
                # The daemon gets no message when a table has another column.
                self._look_again_at = time.monotonic() + LOOK_AGAIN_S
                if error != row["error"]:
                    log.warning("condition_invalid", hook=row["name"], error=error)
        if error is None:
            return None
        return storable(clean_text(error)[:LONGEST_ERROR], self._conn.get_settings().server_encoding)

    async def _check_data(self) -> None:
        """Record which hooks have data that their receivers do not take, and which do again.

        Scheduling does not depend on these rows: it asks the receivers.
        """
        verdicts: list[dict[str, object]] = []
        encoding = self._conn.get_settings().server_encoding
        for hook_id, name, job, data, is_checked, known in await call_async(self._conn, "data_of_hooks"):
            found = self._registry.receivers.get(job)
            if found is None:
                continue
            error = found.data_error(data)
            error = None if error is None else storable(clean_text(error)[:LONGEST_ERROR], encoding)
            if error != known or (not is_checked and data != "{}"):
                verdicts.append({"hook_id": hook_id, "job": job, "data": msgspec.Raw(data.encode()), "error": error})
                if error is not None:
                    log.error("hook_data_invalid", hook=name, job=job, error=error)
        if verdicts:
            verdicts_json = msgspec.json.encode(verdicts).decode()
            ((written,),) = await call_async(self._conn, "note_data_verdicts", verdicts=verdicts_json)
            self._has_unchecked |= not written

    async def write_counts(self) -> None:
        """Write what was counted; keep it for the next time while another session changes a hook."""
        if self._has_unchecked or time.monotonic() >= self._look_again_at:
            await self._check()
        await self._write_condition_failures()
        await self._write_chain_ends()

    async def _write_chain_ends(self) -> None:
        counts = self.chain_ends.take()
        rows = [{"hook_id": hook_id, **asdict(count)} for hook_id, count in counts.items()]
        if rows:
            ((written,),) = await call_async(self._conn, "note_chain_ends", ends=msgspec.json.encode(rows).decode())
            if not written:
                self.chain_ends.put_back(counts)

    async def _write_condition_failures(self) -> None:
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

    async def positions(self) -> dict[int, Cursor]:
        """The saved positions of the hooks that read alone, by the hook's id."""
        return {row[0]: Cursor(*row[1:]) for row in await call_async(self._conn, "load_hook_positions")}

    async def rate_buckets(self, hook_id: int) -> list[tuple[int, float]]:
        """The keys that have used a part of a hook's rate, and the seconds until their buckets are full again."""
        return [(row[0], row[1]) for row in await call_async(self._conn, "rate_buckets", hook_id=hook_id)]

    async def backlog_rows(
        self, hook_id: int, most: int, known: Mapping[int, BacklogRow] = NO_ROWS
    ) -> list[BacklogRow]:
        """The oldest rows of a hook's backlog, at most ``most``; ``known``: those whose changes need no second look."""
        rows = await call_async(self._conn, "backlog_rows", hook_id=hook_id, limit=most)
        now = time.monotonic()
        old = {row["change_id"]: known[row["change_id"]] for row in rows if _is_known(row, known)}
        new = [row["change_id"] for row in rows if row["change_id"] not in old]
        found = await call_async(self._conn, "changes_of_rows", change_ids=new) if new else []
        changes = {row["id"]: row for row in found}
        return [
            _backlog_row(hook_id, row, now, old.get(row["change_id"]), changes.get(row["change_id"])) for row in rows
        ]

    async def load(self, hook: Hook, rows: Sequence[BacklogRow]) -> tuple[list[Delivery], list[Delivery]]:
        """The deliveries of these rows, as far as their changes fit into memory together; and the settled ones.

        A settled one has a result already: its run committed, and its daemon did not learn of that.
        """
        found = await call_readable_async(
            self._conn,
            "backlog_changes",
            hook_id=hook.id,
            change_ids=[row.change_id for row in rows],
            attempts=[row.attempts for row in rows],
            max_bytes=PAGE_BYTES,
        )
        content_types = await self._content_types_at(found[0]["version"]) if found else {}
        by_id = {row.change_id: row for row in rows}
        deliveries: list[Delivery] = []
        settled: list[Delivery] = []
        for record in found:
            change = change_of(record, content_types)
            row = by_id[change.id]
            delivery = delivery_of_row(change, hook, content_types[row.content_type_id])
            if delivery.further:
                delivery = await self._without_deleted(delivery, hook)
            delivery.attempts, delivery.failures, delivery.lasting = row.attempts, row.failures, row.lasting
            (settled if record["settled"] else deliveries).append(delivery)
        return deliveries, settled

    async def _content_types_at(self, version: str) -> ContentTypes:
        """The watched tables, as of this version of the configuration or a later one."""
        if version != self._content_types_version:
            self._content_types = await load_content_types(self._conn)
            self._content_types_version = version
        return self._content_types

    async def _without_deleted(self, delivery: Delivery, hook: Hook) -> Delivery:
        """The same delivery without the parents that its transaction had deleted, as it was when it was read."""
        deleted = DeletedParents()
        async for change in self.changes_of_parents(delivery.change.transaction_id, delivery.change.id):
            deleted.note(change)
        return delivery_to_parents(hook, deleted.without(delivery.changes) or delivery.changes)

    async def changes_of_parents(self, transaction_id: int, last_id: int) -> AsyncGenerator[Change]:
        """The changes of tables that are parents, of one transaction, up to an id; few at a time in memory."""
        content_types = await load_content_types(self._conn)
        parents = [each.id for each in content_types.values() if each.is_parent]
        after_id, rows = 0, None
        while rows is None or len(rows) == FEW_CHANGES:
            rows = await call_readable_async(
                self._conn,
                "changes_of_tables",
                transaction_id=transaction_id,
                after_id=after_id,
                last_id=last_id,
                content_type_ids=parents,
                limit=FEW_CHANGES,
            )
            for row in rows:
                yield change_of(row, content_types)
                after_id = row["id"]

    async def changes_to_merge(self, chains: Iterable[tuple[BacklogRow, Sequence[BacklogRow]]]) -> dict[int, Change]:
        """The changes that ``merge`` needs of these rows, each with those behind it, by id."""
        ids = [id_ for row, behind in chains for id_ in needed_to_merge(behind, is_of_child=row.is_of_child)]
        rows = await call_readable_async(self._conn, "merged_changes", ids=ids) if ids else []
        content_types = await load_content_types(self._conn) if rows else {}
        return {row["id"]: change_of(row, content_types) for row in rows}


def _is_known(row: asyncpg.Record, known: Mapping[int, BacklogRow]) -> bool:
    """Whether it is known what a row keeps of its change. One that was queued again can be of another table."""
    present = known.get(row["change_id"])
    return present is not None and present.content_type_id == row["content_type_id"]


def _backlog_row(
    hook_id: int, row: asyncpg.Record, now: float, old: BacklogRow | None, change: asyncpg.Record | None
) -> BacklogRow:
    """A row of the table. What it keeps of its change is as in ``old``, or in ``change``; null: that is gone."""
    content_type_id, due_in = row["content_type_id"], row["due_in"]
    found = BacklogRow(
        *(row["change_id"], hook_id, content_type_id, row["lane"], row["other_lane"], 0),
        *(row["attempts"], row["failures"], row["lasting"], row["blocks"], inf if due_in is None else now + due_in),
    )
    if old is not None:
        found.transaction_id, found.depth = old.transaction_id, old.depth
        found.is_of_child, found.request = old.is_of_child, old.request
    elif change is not None:
        found.transaction_id, found.depth = change["transaction_id"], change["depth"]
        found.is_of_child = change["content_type_id"] != content_type_id
        found.request = request_number(change["request_id"])
    return found


def needed_to_merge(chain: Sequence[BacklogRow], *, is_of_child: bool) -> list[int]:
    """The last change of a chain, and the last one that is not of a child: it has the row after all of them.

    If the change before the chain ``is_of_child``, also the first one that is not.
    """
    own = [row.change_id for row in chain if not row.is_of_child]
    return list(dict.fromkeys([row.change_id for row in chain[-1:]] + own[-1:] + (own[:1] if is_of_child else [])))


def merge(head: Delivery, chain: Sequence[BacklogRow], changes: Mapping[int, Change]) -> bool:
    """Deliver a delivery with the rows behind it, if all are of one object, and the hook asks for the merged event.

    ``changes``: those that are ``needed_to_merge``, as far as the log has them.
    """
    if not _is_lane_of_object(chain[0].lane, head.change):
        return False
    if any(id_ not in changes for id_ in needed_to_merge(chain, is_of_child=head.change.related is not None)):
        return False
    content_type = head.change.content_type
    row_ids = [row.change_id for row in chain if not row.is_of_child]
    own = [each for each in (head.change, *(changes[id_] for id_ in row_ids if id_ in changes)) if each.related is None]
    last = changes[chain[-1].change_id]
    if last.content_type.id != content_type.id:
        (last, *_) = updates_of(last, content_type)
    if not all(map(can_be_merged, own)):
        return False
    shown = merged(own, last, touched=head.change.related is not None or any(row.is_of_child for row in chain))
    if shown is not None and shown.action not in head.hook.events:
        return False
    depth = max(head.change.depth, max((row.depth for row in chain), default=0))
    head.shown = shown if shown is None or shown.depth == depth else replace(shown, depth=depth)
    head.merged = tuple(_merged(head, row) for row in chain)
    return True


def _is_lane_of_object(lane: int | None, change: Change) -> bool:
    """Whether only changes of the object are in this lane: not of a table, or of rows with an equal column.

    The row may have been written when the receiver had another ``order_by``.
    """
    if not change.content_type.key_columns:
        return False
    return lane == lane_numbers(lane_keys(change, change.lane_keys()))[0]


def _merged(head: Delivery, row: BacklogRow) -> Delivery:
    """The delivery of a row that is merged into another; only the identity of its change is needed."""
    change = replace(
        head.change,
        id=row.change_id,
        transaction_id=row.transaction_id,
        prechange_json=None,
        postchange_json=None,
        depth=row.depth,
    )
    return Delivery(change, head.hook, head.lanes, attempts=row.attempts, failures=row.failures, has_row=True)
