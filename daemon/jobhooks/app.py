"""The composition root of ``jobhooks run``: the engine, the database and the receivers."""

import faulthandler
import signal

import uvloop

from jobhooks.discovery.registry import ReceiverRegistry
from jobhooks.engine import supervisor
from jobhooks.engine.delivery.retry import Backoff
from jobhooks.engine.running import output
from jobhooks.engine.running.in_loop.event_loop import DaemonLoop
from jobhooks.engine.session import EngineSettings
from jobhooks.errors import DatabaseUnreachable, IsReplica, LoginRefused, StatementInterrupted
from jobhooks.operations.configuration import receivers
from jobhooks.operations.opening import connection
from jobhooks.runtime import logging, parent_process, systemd
from jobhooks.runtime.event_log import get_logger
from jobhooks.runtime.restart import restart
from jobhooks.runtime.settings import Settings, unknown_variables
from jobhooks.runtime.standard_streams import StandardStreams
from jobhooks.runtime.stop_signals import end_at_once_on_sigterm
from jobhooks.schema.install import check_may_mark, check_original, check_place
from jobhooks.store import libpq
from jobhooks.store.connections import SyncConnection, asyncpg_arguments, call
from jobhooks.store.conninfo import given_parameters
from jobhooks.store.place import configured_place

log = get_logger()


def run_daemon(chosen: Settings, end_with: int | None) -> None:
    """Run the daemon, until SIGTERM or Ctrl-C, or until the process ``end_with`` has ended.

    Raises:
        JobhooksError: it cannot run, and will not by waiting.
    """
    streams = StandardStreams()
    logging.configure(chosen.log_level, chosen.log_format, streams.log_descriptor)
    end_at_once_on_sigterm()
    if end_with is not None:
        parent_process.end_with(end_with)
    faulthandler.register(signal.SIGVTALRM, chain=True)  # by which the system ends a daemon that cannot do so itself
    for problem in unknown_variables():
        log.warning("unknown_variable", problem=problem)
    service = systemd.Service()

    with output.captured() as handler:
        engine_settings, registry = _prepare(chosen, service)
        running = supervisor.run(engine_settings, registry, service, restart=restart, streams=streams, handler=handler)
        uvloop.run(running, loop_factory=DaemonLoop)


def _prepare(chosen: Settings, service: systemd.Service) -> tuple[EngineSettings, ReceiverRegistry]:
    """Find the receivers and make their jobs; wait for a database that is not there yet.

    Raises:
        DatabaseUnreachable: systemd waits for the service, and has waited for long.
    """
    libpq.check(given_parameters(chosen.database_url))
    backoff = Backoff()
    while True:
        try:
            with connection(chosen) as conn:
                return _prepare_with(chosen, conn)
        except DatabaseUnreachable as exc:
            if isinstance(exc, IsReplica):
                service.ready()  # it is promoted when that is due, not when this service starts
            wait_s = min(backoff.next(refused=isinstance(exc, LoginRefused)), service.time_to_start())
            if wait_s <= 0:
                raise
            event = "statement_interrupted" if isinstance(exc, StatementInterrupted) else "database_unreachable"
            log.warning(event, error=str(exc), next_attempt_s=round(wait_s, 1))
            service.waits(str(exc))
            systemd.pause(wait_s)


def _prepare_with(chosen: Settings, conn: SyncConnection) -> tuple[EngineSettings, ReceiverRegistry]:
    ((replica,),) = call(conn, "is_replica")
    if replica:
        raise IsReplica("the database is a replica, which nothing can be written to")
    asyncpg_arguments(conn)  # refuses those of a service file
    check_original(conn)
    check_may_mark(conn)
    check_place(conn, configured_place(conn, chosen.database_url, chosen.environment))
    registry = receivers.find(chosen)
    for broken in registry.broken:
        log.error("receiver_module_broken", path=str(broken.path), line=broken.line, error=broken.error)
    for note in registry.notes.values():
        log.warning("receiver_module_without_receiver", path=str(note.path), line=note.line, reason=note.error)
    for found in registry.receivers.values():
        for warning in found.meta.warnings:
            log.warning("receiver_meta_warning", receiver=found.class_path, path=str(found.path), warning=warning)
    for path in registry.missing:
        log.warning("receivers_path_missing", path=str(path))
    engine_settings = EngineSettings(
        database_url=chosen.database_url,
        page_size=chosen.page_size,
        poll_interval_s=chosen.poll_interval,
        wakeup=chosen.wakeup,
        shutdown_grace_s=chosen.shutdown_grace,
        leader_timeout_s=chosen.leader_timeout,
        retention_days=chosen.retention_days,
        connections=chosen.connections,
        workers=chosen.workers,
        worker_memory_limit=chosen.worker_memory_limit * 1_000_000 or None,
        environment=chosen.environment,
        loop_limit=chosen.loop_limit,
        log_settings=logging.LogSettings(chosen.log_level, chosen.log_format),
    )
    return engine_settings, registry
