"""A settle batch: it divides into parts of one hook each, and takes a later batch."""

from jobhooks.contract.choices import JobResultStatus
from jobhooks.engine.delivery.backlog_row import failed_row, row_of
from jobhooks.engine.delivery.delivery import Delivery
from jobhooks.engine.delivery.settle_batch import SettleBatch
from support.making import make_delivery, make_hook, make_outcome

SUCCESS = make_outcome()
FAILURE = make_outcome(JobResultStatus.FAILURE, error="x", raised=True)
ONE, TWO = make_hook(1), make_hook(2)


def batch_of(*parts: tuple[str, Delivery]) -> SettleBatch:
    """A batch with these deliveries: succeeded, failed, parked or done."""
    batch = SettleBatch()
    for what, delivery in parts:
        key = (delivery.change.id, delivery.hook.id)
        match what:
            case "succeeded":
                batch.successes.append((delivery, SUCCESS))
            case "failed":
                batch.failures.append((delivery, FAILURE))
                batch.rows[key] = failed_row(delivery, FAILURE, now=0.0)
            case "parked":
                batch.parked.append(delivery)
                batch.rows[key] = row_of(delivery, due=0.0)
            case _:
                batch.done.append(delivery)
    return batch


def content(batch: SettleBatch) -> dict[str, list[int]]:
    """The change ids of each kind, without empty kinds."""
    kinds = {
        "successes": [delivery.change.id for delivery, _ in batch.successes],
        "failures": [delivery.change.id for delivery, _ in batch.failures],
        "rows": [change_id for change_id, _ in batch.rows],
        "parked": [delivery.change.id for delivery in batch.parked],
        "done": [delivery.change.id for delivery in batch.done],
    }
    return {kind: ids for kind, ids in kinds.items() if ids}


def test_a_batch_with_nothing_to_write_is_false() -> None:
    assert not SettleBatch()
    for what in ("succeeded", "failed", "parked", "done"):
        assert batch_of((what, make_delivery(1)))


def test_each_hook_has_its_part() -> None:
    whole = batch_of(
        ("succeeded", make_delivery(1, hook=ONE)),
        ("failed", make_delivery(2, hook=TWO)),
        ("parked", make_delivery(3, hook=TWO)),
        ("failed", make_delivery(4, hook=ONE)),
        ("done", make_delivery(5, hook=ONE)),
        ("succeeded", make_delivery(1, hook=TWO)),
    )
    parts = whole.by_hook()
    assert {hook_id: content(part) for hook_id, part in parts.items()} == {
        1: {"successes": [1], "failures": [4], "rows": [4], "done": [5]},
        2: {"successes": [1], "failures": [2], "rows": [2, 3], "parked": [3]},
    }
    assert all(key[1] == hook_id for hook_id, part in parts.items() for key in part.rows)


def test_a_later_batch_is_added_in_order() -> None:
    batch = batch_of(("succeeded", make_delivery(1)), ("parked", make_delivery(2)))
    batch.extend(batch_of(("succeeded", make_delivery(3)), ("failed", make_delivery(4)), ("parked", make_delivery(5))))
    assert content(batch) == {"successes": [1, 3], "failures": [4], "rows": [2, 4, 5], "parked": [2, 5]}


def test_a_row_is_written_as_it_was_last() -> None:
    """A run gets a row because it takes long, and then fails, while the database refuses both."""
    delivery = make_delivery(1)
    batch = batch_of(("parked", delivery))
    batch.extend(batch_of(("failed", delivery)))
    assert batch.rows[1, 1].attempts == 1


def test_a_row_that_is_done_is_not_written() -> None:
    """Otherwise it would be written after it was deleted, and its delivery would run again."""
    delivery = make_delivery(1)
    batch = batch_of(("parked", delivery))
    batch.extend(batch_of(("done", delivery)))
    assert not batch.rows
    assert content(batch)["done"] == [1]
