"""Calling a receiver as the engine does, with a change that is made up and a row that is in memory."""

import asyncio
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import msgspec

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import AsyncChangedObject, ChangedObject, LiveRow, LoadedRow
from jobhooks.contract.choices import ObjectChangeActionChoices as Action
from jobhooks.contract.content_type import ContentType
from jobhooks.contract.hook_data import normalized, read_data
from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.contract.meta import is_async, read_meta, steps_of, takes_batches, wanted_arguments
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.contract.run import ChangeReader, DeliveryIdentity, Run, current_run
from jobhooks.contract.snapshots import Row, decode_row, encode_row
from jobhooks.engine.delivery.outcome import Clock, Outcome, completed, failed
from jobhooks.engine.running.output import captured_records
from jobhooks.engine.running.steps import (
    Ending,
    after_run,
    after_run_async,
    in_steps,
    in_steps_async,
    refuse_awaitable,
    warn_of_unsaved,
)
from jobhooks.matching.parent_updates import update_of
from jobhooks.testing.memory_rows import AsyncMemoryChanges, AsyncMemoryRows, MemoryChanges, MemoryRows, Related

Receiver = type[JobHookReceiver[Any]]
Parent = Mapping[str, Mapping[str, object]]  # a row, by the name of its table
HOOK = "a hook"


@dataclass(frozen=True)
class Received:
    """The outcome of a receiver's run. ``status``: success, failure or discarded; ``error``, ``traceback``: the reason.

    ``value``: its return value. ``row``: the live row afterwards, None if it was deleted; ``saved``: whether the
    receiver wrote it.
    """

    status: str
    error: str | None
    traceback: str | None
    log: list[LogEntry]
    value: Any
    row: Row | None
    saved: bool

    @property
    def messages(self) -> list[str]:
        """Its log lines, without levels and objects."""
        return [entry.message for entry in self.log]


def receive(
    receiver: Receiver,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    action: str | None = None,
    table: str = "public.table",
    key: Sequence[str] = ("id",),
    user_name: str = "tester",
    request_id: str | None = None,
    connection: Any = None,
    related: Related | None = None,
    data: Mapping[str, object] | None = None,
    parent: Parent | None = None,
    parent_key: Sequence[str] = ("id",),
    message: str | None = None,
    depth: int = 0,
) -> Received:
    """Run a receiver, ``def`` or ``async def``, for one change without a database, and return the outcome.

    ``before`` and ``after`` are the row before and after the change: without the first it is a create, without the
    second a delete, without both a truncate. Their values go through JSON, as in the daemon: a date arrives as text.
    ``changed_object`` is a row in memory. ``connection`` becomes ``self.connection``; without it, a run that uses the
    connection fails. ``related``: rows that foreign keys lead to, as in ``{"site": {...}, "public.interface": [...]}``.
    ``data`` are those of the hook, for ``self.hook.data``. ``parent``: a row of a parent of the table, as in
    ``{"public.device": {...}}``; the receiver gets the change as the update of that row, which is ``changed_object``,
    and the change itself as ``change.related``. ``depth``: how many runs lie between the change and that of an
    application, as for a hook with a ``chain_depth``.
    """
    change = _change(before, after, action, table, key, user_name, request_id, message=message, depth=depth)
    call = _call(receiver, change, connection, data, related, parent, parent_key)
    return asyncio.run(call.run_async()) if is_async(receiver) else call.run()


async def receive_async(receiver: Receiver, **arguments: Any) -> Received:
    """Like ``receive``, inside a running event loop; takes the same arguments."""
    change = _change(
        arguments.pop("before", None),
        arguments.pop("after", None),
        arguments.pop("action", None),
        arguments.pop("table", "public.table"),
        arguments.pop("key", ("id",)),
        arguments.pop("user_name", "tester"),
        arguments.pop("request_id", None),
        message=arguments.pop("message", None),
        depth=arguments.pop("depth", 0),
    )
    call = _call(
        receiver,
        change,
        arguments.pop("connection", None),
        arguments.pop("data", None),
        arguments.pop("related", None),
        arguments.pop("parent", None),
        arguments.pop("parent_key", ("id",)),
    )
    if arguments:
        raise TypeError(f"receive_async takes no {', '.join(arguments)}")
    return await call.run_async() if is_async(receiver) else call.run()


def receive_batch(
    receiver: Receiver,
    changes: Sequence[tuple[Mapping[str, object] | None, Mapping[str, object] | None]],
    *,
    table: str = "public.table",
    key: Sequence[str] = ("id",),
    connection: Any = None,
    data: Mapping[str, object] | None = None,
) -> Received:
    """Run a receiver of batches for changes given as (before, after), and return the outcome."""
    made = [
        _change(before, after, None, table, key, "tester", None, number)
        for number, (before, after) in enumerate(changes, 1)
    ]
    call = _Call(receiver, made, connection, data)
    return asyncio.run(call.run_async()) if is_async(receiver) else call.run()


def _change(
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
    action: str | None,
    table: str,
    key: Sequence[str],
    user_name: str,
    request_id: str | None,
    number: int = 1,
    *,
    message: str | None = None,
    depth: int = 0,
) -> Change:
    content_type = _content_type(1, table, key)
    match before, after:
        case None, None:
            happened = Action.ACTION_TRUNCATE
        case None, _:
            happened = Action.ACTION_CREATE
        case _, None:
            happened = Action.ACTION_DELETE
        case _:
            happened = Action.ACTION_UPDATE
    rows = [None if row is None else encode_row(dict(row)) for row in (before, after)]
    now = datetime.datetime.now(datetime.UTC)
    return Change(
        *(
            number,
            1,
            now,
            content_type,
            Action(action) if action else happened,
            user_name,
            request_id,
            rows[0],
            rows[1],
        ),
        session_role=user_name,
        message=message,
        caused_by=DeliveryIdentity(number, 1, 1) if depth else None,
        depth=depth,
    )


def _content_type(id_: int, table: str, key: Sequence[str]) -> ContentType:
    schema, _, name = table.rpartition(".")
    return ContentType(id_, f"{schema or 'public'}.{name}", schema or "public", name, (*key,), ("text",) * len(key))


def _call(
    receiver: Receiver,
    change: Change,
    connection: Any,
    data: Mapping[str, object] | None,
    related: Related | None,
    parent: Parent | None,
    parent_key: Sequence[str],
) -> "_Call":
    if parent is None:
        return _Call(receiver, [change], connection, data, related)
    if len(parent) != 1:
        raise ValueError(f"parent names {len(parent)} tables: it takes one table, and one row of it")
    ((table, given),) = parent.items()
    row = decode_row(encode_row(dict(given)))
    missing = [name for name in parent_key if name not in row]
    if missing:
        raise ValueError(f"the row of {table} has no {', '.join(missing)}: name its key with parent_key")
    key = encode_row({name: row[name] for name in parent_key})
    update = update_of(change, _content_type(2, table, parent_key), key)
    return _Call(receiver, [update], connection, data, related, live_columns=row)


@dataclass
class _Call:
    """One call of a receiver, with its effects in memory."""

    receiver: Receiver
    changes: list[Change]
    connection: Any
    data: Mapping[str, object] | None
    related: Related | None = None
    live_columns: Row | None = None  # of a parent, whose row the change does not have
    log: ReceiverLog = field(default_factory=ReceiverLog)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        after = self.changes[0].postchange if self.live_columns is None else self.live_columns
        self.sensitive = read_meta(self.receiver).has_sensitive_variables
        self.row = MemoryRows(self.changes[0].content_type, None if after is None else dict(after), self.related)
        self.live: LiveRow[Any] | None = None
        self.value: object = None
        self.data_json = msgspec.json.encode(normalized(self.data or {})).decode()
        read_data(self.receiver, self.data_json)

    def run(self) -> Received:
        started_at = self.clock.now()
        with captured_records():
            return self._run(started_at)

    def _run(self, started_at: float) -> Received:
        receiver = self._instance(MemoryChanges(self.row))
        ending = Ending(receiver)
        try:
            work = self._work(receiver, ChangedObject, self.row)
            self.value = in_steps(receiver, work) if steps_of(self.receiver) else work()
            refuse_awaitable(self.value)
        except Exception as exc:  # noqa: BLE001 - it is what is to be found out
            ending.exc = exc
        finally:
            current_run.set(None)
        return self._received(after_run(ending, self._outcome(started_at, ending), sensitive=self.sensitive))

    async def run_async(self) -> Received:
        started_at = self.clock.now()
        with captured_records():
            return await self._run_async(started_at)

    async def _run_async(self, started_at: float) -> Received:
        receiver = self._instance(AsyncMemoryChanges(self.row))
        ending = Ending(receiver)
        try:
            work = self._work(receiver, AsyncChangedObject, AsyncMemoryRows(self.row))
            self.value = await (in_steps_async(receiver, work) if steps_of(self.receiver) else work())
        except Exception as exc:  # noqa: BLE001 - as there
            ending.exc = exc
        finally:
            current_run.set(None)
        outcome = self._outcome(started_at, ending)
        return self._received(await after_run_async(ending, outcome, asyncio.ensure_future, sensitive=self.sensitive))

    def _outcome(self, started_at: float, ending: Ending) -> Outcome:
        if ending.exc is not None:
            return failed(started_at, self.clock, self.log, ending.exc, sensitive=self.sensitive)
        ending.value = self.value
        if self.live is not None:
            warn_of_unsaved(self.live, self.log)
        return completed(started_at, self.clock, self.log, self.value, sensitive=self.sensitive)

    def _instance(self, changes: ChangeReader) -> JobHookReceiver[Any]:
        change = self.changes[0]
        run: Run[Any] = Run(
            *(DeliveryIdentity(change.id, 1, 1), self._connect, self.log, change.id, HOOK, changes, change),
            changes=self.changes,
            hook_data=self.data_json,
        )
        current_run.set(run)
        return self.receiver(run)

    def _work(self, receiver: Any, kind: type[Any], rows: object) -> Callable[[], Any]:
        if takes_batches(self.receiver):
            return partial(receiver.receive_job_hook_batch, changes=self.changes)
        change = self.changes[0]
        live = self.live
        if self.row.columns is not None and change.content_type.key_columns:
            live = self.live = kind(change.content_type, rows, LoadedRow(dict(self.row.columns), str(self.row.version)))
        given = {"change": change, "action": change.action, "changed_object": live}
        return partial(receiver.receive_job_hook, **{name: given[name] for name in wanted_arguments(self.receiver)})

    def _connect(self) -> Any:
        return self.connection if self.connection is not None else _no_connection()

    def _received(self, outcome: Outcome) -> Received:
        current_run.set(None)
        return Received(
            outcome.status.value,
            outcome.error,
            outcome.traceback,
            list(outcome.log),
            self.value,
            self.row.columns,
            self.row.version > 1,
        )


def _no_connection() -> NoReturn:
    raise RuntimeError(
        "the receiver asks for self.connection, and there is none in a test without a database:"
        " pass receive(..., connection=...), or test it with the fixture run_hooks"
    )
