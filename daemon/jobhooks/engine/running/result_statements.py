"""The SQL that records results and commits, as text or as parameters of a query."""

from collections.abc import Iterable, Sequence

import msgspec

from jobhooks.contract.nautobot.identities import ChangeOrigin
from jobhooks.contract.run import DeliveryIdentity, mark_of, set_statements
from jobhooks.engine.delivery.outcome import Outcome
from jobhooks.store.queries import filled, query
from jobhooks.store.storable_text import storable, storable_json, storable_log


def says_only_success(outcome: Outcome) -> bool:
    """Whether the result consists of numbers only: then one message without parameters records it and commits."""
    return outcome.error is None and not outcome.log and outcome.value is None


def begin_run(delivery: DeliveryIdentity, set_again: str = "", changes: Sequence[ChangeOrigin] = ()) -> str:
    """Begin a transaction that is marked as this run's, in a session as it was opened.

    ``set_again``: as the session's ``set_again_after_reset`` says. ``changes``: whose user the writes get.
    """
    mark = f"'{mark_of(delivery, changes)}'"
    return filled("begin_run", mark=mark, set_again=set_again, cause=set_statements(changes))


def join_run(
    delivery: DeliveryIdentity, set_again: str = "", changes: Sequence[ChangeOrigin] = (), *, is_second: bool
) -> str:
    """Let a run join a transaction. The first run in it has no savepoint, so the second one has none to release."""
    mark = f"'{mark_of(delivery, changes)}'"
    statements = filled("next_run", mark=mark, set_again=set_again, cause=set_statements(changes))
    return statements if is_second else f"{query('keep_run')};\n{statements}"


def end_run(delivery: DeliveryIdentity, job_id: int, outcome: Outcome, version: int | None) -> str:
    """Record a success without text, and commit."""
    return filled(
        "end_run",
        change_id=repr(delivery.change_id),
        hook_id=repr(delivery.hook_id),
        job_id=repr(job_id),
        attempt=repr(delivery.attempt),
        started_at=repr(outcome.started_at),
        finished_at=repr(outcome.finished_at),
        version=_number(version),
    )


def end_results(deliveries: Sequence[DeliveryIdentity], job_id: int, outcome: Outcome, version: int | None) -> str:
    """Record such a success of one call for deliveries of one hook, and commit."""
    if len(deliveries) == 1:
        return end_run(deliveries[0], job_id, outcome, version)
    return end_runs([(delivery, job_id, outcome) for delivery in deliveries], version)


def end_runs(runs: list[tuple[DeliveryIdentity, int, Outcome]], version: int | None) -> str:
    """Record such successes of one hook, each with the id of its job, and commit. ``version``: of the receiver."""
    deliveries, job_ids, outcomes = zip(*runs, strict=True)
    return filled(
        "end_runs",
        change_ids=_array(delivery.change_id for delivery in deliveries),
        hook_id=repr(deliveries[0].hook_id),
        job_id=repr(job_ids[0]),
        attempts=_array(delivery.attempt for delivery in deliveries),
        started_at=_array(outcome.started_at for outcome in outcomes),
        finished_at=_array(outcome.finished_at for outcome in outcomes),
        version=_number(version),
    )


def _array(numbers: Iterable[float]) -> str:
    return f"'{{{','.join(map(repr, numbers))}}}'"


def _number(number: int | None) -> str:
    return "null" if number is None else repr(number)


def results_parameters(
    deliveries: Sequence[DeliveryIdentity],
    job_id: int,
    outcome: Outcome,
    version: int | None,
    server_encoding: str | None,
) -> dict[str, object]:
    """The parameters of the query ``record_results``: the outcome of one call for deliveries of one hook."""
    log = storable_log(outcome.log, server_encoding)
    return {
        "change_ids": [delivery.change_id for delivery in deliveries],
        "hook_id": deliveries[0].hook_id,
        "job_id": job_id,
        "attempts": [delivery.attempt for delivery in deliveries],
        "status": outcome.status.value,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "error": storable(outcome.error, server_encoding),
        "log_entries": msgspec.json.encode(log).decode() if log else None,
        "value": storable_json(outcome.value, server_encoding),
        "version": version,
    }
