"""A receiver that cannot be called is reported when it is loaded, before a run."""

from typing import Any

import pytest

from jobhooks import JobHookReceiver
from jobhooks.contract.meta import warnings_of_call


class Good(JobHookReceiver):
    def receive_job_hook(self, change: Any, action: Any, changed_object: Any, snapshots: Any = None) -> None: ...


class Whatever(JobHookReceiver):
    def receive_job_hook(self, **arguments: Any) -> None: ...


class Few(JobHookReceiver):
    async def receive_job_hook(self, action: Any) -> None: ...


class Missing(JobHookReceiver): ...


class Base(JobHookReceiver): ...


class Derived(Base):
    def receive_job_hook(self, change: Any) -> None: ...


class Runs(JobHookReceiver):
    def run(self, object_change: Any) -> None: ...


class Misnamed(JobHookReceiver):
    def receive_job_hook(self, change: Any, action: Any, changed_objekt: Any) -> None: ...


class ByPosition(JobHookReceiver):
    def receive_job_hook(self, change: Any, /) -> None: ...


class Batch(JobHookReceiver):
    def receive_job_hook_batch(self, changes: Any) -> None: ...


class OddBatch(JobHookReceiver):
    def receive_job_hook_batch(self, rows: Any) -> None: ...


class OddStep(JobHookReceiver):
    def receive_job_hook(self, change: Any) -> None: ...
    def after_return(self, status: Any) -> None: ...


@pytest.mark.parametrize("receiver", [Good, Whatever, Few, Base, Derived, Batch])
def test_a_receiver_that_can_be_called_gets_no_warning(receiver: type[JobHookReceiver[Any]]) -> None:
    """A base class has subclasses that are called."""
    assert list(warnings_of_call(receiver)) == []


@pytest.mark.parametrize(
    ("receiver", "warnings"),
    [
        (Missing, ["Missing has no receive_job_hook, so each run fails"]),
        (Runs, ["Runs has no receive_job_hook, so each run fails: rename its run"]),
        (
            Misnamed,
            [
                "Misnamed.receive_job_hook needs changed_objekt, so each run fails: it is called by keyword with"
                ' change, action, changed_object. Did you mean "changed_object"?'
            ],
        ),
        (
            ByPosition,
            [
                "ByPosition.receive_job_hook needs change, so each run fails: it is called by keyword with change,"
                " action, changed_object"
            ],
        ),
        (
            OddBatch,
            [
                "OddBatch.receive_job_hook_batch needs rows, so each run fails: it is called by keyword with changes",
                "OddBatch.receive_job_hook_batch has no argument changes, so each run fails",
            ],
        ),
        (OddStep, ["OddStep.after_return cannot be called: see the arguments of steps in docs/reference/receiver.md"]),
    ],
)
def test_one_that_cannot_be_called_says_why(receiver: type[JobHookReceiver[Any]], warnings: list[str]) -> None:
    assert list(warnings_of_call(receiver)) == warnings
