"""Running ``def`` receivers, away from the daemon's loop: in a thread, which has a connection of its own."""

import asyncio
import contextlib
import datetime
import inspect
import threading

import structlog
from psycopg.pq import TransactionStatus

from jobhooks.contract.change import Change
from jobhooks.contract.changed_object import ChangedObject
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.receiver import JobHookReceiver, Run
from jobhooks.engine.live_rows import SyncLiveRows, key_to_load
from jobhooks.engine.matching import Delivery
from jobhooks.engine.settle import Outcome, completed, failed, result_parameters
from jobhooks.errors import AlreadySettled, DatabaseUnreachable, JobhooksError
from jobhooks.store.connections import SyncConnection, call, connect

LAST_MOMENT = 0.1  # seconds for a thread that has handed over its outcome to end

log = structlog.stdlib.get_logger()


class Worker:
    """Runs ``def`` receivers one at a time, each in a thread, on a connection that is opened for the first of them."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._conn: SyncConnection | None = None
        self._thread: threading.Thread | None = None

    async def run(self, receiver: type[JobHookReceiver], delivery: Delivery) -> Outcome:
        """Run ``receiver`` for ``delivery`` in one transaction with its result, and return what it did.

        A failure is returned and not recorded: its transaction is rolled back. Cancelling this does not end the
        receiver, and then nothing else may be run here.

        Raises:
            AlreadySettled: another daemon was faster; nothing of this run is kept.
            DatabaseUnreachable: no connection could be opened for it.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome] = loop.create_future()

        def settle(outcome: Outcome | None, exc: BaseException | None) -> None:
            if ended.cancelled():
                return
            if exc is not None:
                ended.set_exception(exc)
            elif outcome is not None:
                ended.set_result(outcome)

        def work() -> None:
            outcome, exc = None, None
            try:
                outcome = self._run(receiver, delivery)
            except BaseException as error:  # noqa: BLE001 - handed over to the loop, which raises it
                exc = error
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(settle, outcome, exc)

        # A daemon thread: the process can end while a receiver hangs, and the server then rolls back what it wrote.
        self._thread = threading.Thread(target=work, name=delivery.hook.class_path, daemon=True)
        self._thread.start()
        return await ended

    def close(self) -> None:
        """Close the connection, unless a receiver still uses it: then it ends with the process."""
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(LAST_MOMENT)
        if self._thread is not None and self._thread.is_alive():
            log.warning("receiver_abandoned", receiver=self._thread.name)
        elif self._conn is not None:
            self._conn.close()

    def _run(self, receiver: type[JobHookReceiver], delivery: Delivery) -> Outcome:
        if self._conn is not None and not self._conn.closed:
            try:
                return run_sync(self._conn, receiver, delivery)
            except DatabaseUnreachable:
                self._conn.close()  # it was cut while it was idle, and the receiver was not called
        self._conn = connect(self._database_url)
        return run_sync(self._conn, receiver, delivery)


def run_sync(conn: SyncConnection, receiver: type[JobHookReceiver], delivery: Delivery) -> Outcome:
    """Do what ``Worker.run`` says, on an autocommit connection that is not in a transaction."""
    log = ReceiverLog()
    started_at = datetime.datetime.now(datetime.UTC).isoformat()
    run = Run(delivery.identity, conn, log)
    called = False
    try:
        # Inside this block psycopg refuses commit() and rollback(), which would part the writes from their result.
        with conn.transaction():
            ((started_at, *_),) = call(conn, "begin_run", delivery.identity.mark)
            changed_object = _load(conn, delivery.change)
            called = True
            instance = receiver(run)
            returned = instance.receive_job_hook(
                change=delivery.change, action=delivery.change.action, changed_object=changed_object
            )
            _refuse_awaitable(returned)
            outcome = completed(started_at, log)
            parameters = result_parameters(
                delivery.identity,
                outcome,
                in_receivers_transaction=True,
                server_encoding=conn.info.parameter_status("server_encoding"),
            )
            call(conn, "record_result", *parameters)
        return outcome
    except AlreadySettled:
        raise
    except BaseException as exc:
        if not called and conn.closed:
            raise DatabaseUnreachable(f"lost the connection to the database: {exc}") from exc
        return failed(started_at, log, exc)
    finally:
        _forget(conn, taken=run.connection_taken)


def _load(conn: SyncConnection, change: Change) -> ChangedObject | None:
    key = key_to_load(change)
    rows = SyncLiveRows(conn)
    loaded = None if key is None else rows.load(change.content_type, key)
    return None if loaded is None else ChangedObject(change.content_type, rows, loaded)


def _refuse_awaitable(returned: object) -> None:
    """Fail a run whose work was never begun: that of an ``async def`` behind a decorator that hides it."""
    if inspect.isawaitable(returned):
        if inspect.iscoroutine(returned):
            returned.close()
        raise TypeError("receive_job_hook returned an awaitable and is no async def: what it returned was not awaited")


def _forget(conn: SyncConnection, *, taken: bool) -> None:
    """Make the session as new for the next run; close it where the receiver had its hands on it."""
    if not taken and not conn.closed and conn.info.transaction_status == TransactionStatus.IDLE:
        with contextlib.suppress(JobhooksError):
            call(conn, "forget_session")
            return
    conn.close()
