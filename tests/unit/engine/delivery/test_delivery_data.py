"""Data of deliveries: settle batches, fields of the log, and the source's protocol."""

import inspect

import pytest

from jobhooks.engine.delivery.log_fields import log_fields
from jobhooks.engine.delivery.protocols import DeliverySource
from jobhooks.engine.delivery.settle_batch import SettleBatch
from jobhooks.engine.scheduling.hook_tasks import HookSource
from support.making import make_delivery, make_outcome, make_row

DELIVERY = make_delivery(7, attempts=2)
SOURCE = [name for name, member in vars(DeliverySource).items() if inspect.isfunction(member) and name[0] != "_"]


@pytest.mark.parametrize("name", ["successes", "failures", "rows", "done"])
def test_a_settle_batch_with_anything_is_written(name: str) -> None:
    batch = SettleBatch()
    assert not batch
    if name == "rows":
        batch.rows[7, 1] = make_row(7)
    else:
        getattr(batch, name).append((DELIVERY, make_outcome()))
    assert batch
    assert not SettleBatch(), "batches share no list"


def test_a_log_line_identifies_the_attempt() -> None:
    assert log_fields(DELIVERY) == {
        "change": 7,
        "table": "public.device",
        "action": "create",
        "hook": "h1",
        "receiver": "m.C",
        "attempt": 3,
    }


@pytest.mark.parametrize("name", SOURCE)
def test_a_hooks_source_has_each_method_of_the_protocol(name: str) -> None:
    """Its parameters have the same names, for callers that name them."""
    wanted, found = (inspect.signature(getattr(kind, name)).parameters for kind in (DeliverySource, HookSource))
    assert [*found] == [*wanted]
    is_async, should_be = (inspect.iscoroutinefunction(getattr(kind, name)) for kind in (HookSource, DeliverySource))
    assert is_async == should_be
