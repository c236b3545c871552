"""The backlog: which keys are blocked, and which rows can run; by example, and compared with all rows of a hook."""

import random
from collections.abc import Mapping
from math import inf

from hypothesis import given, strategies as st

from jobhooks.engine.delivery.backlog_row import BacklogRow
from jobhooks.engine.scheduling.backlog import MOST_MERGED, MOST_ROWS, Backlog, Mergeable, Runnable, Scope
from support.making import make_row

ALL = 1_000
NOW = 10.0


def backlog_of(*rows: BacklogRow) -> Backlog:
    """A backlog with these rows, as it is after they were read from the table."""
    backlog = Backlog()
    backlog.reconcile(rows, complete=True, unsent=lambda _id: False)
    return backlog


def covers(_row: BacklogRow) -> bool:
    return True


def runnable(backlog: Backlog, now: float = NOW, most: int = ALL) -> list[int]:
    return [each.row.change_id for each in backlog.take_runnable(now, most, covers)]


# Which keys are blocked.


def test_a_row_blocks_its_keys_before_it_is_written() -> None:
    """The settler has yet to write it, and the next page of the log is scheduled already."""
    backlog = Backlog()
    backlog.put(make_row(1, 7, 8, written=False))
    assert backlog.blocks(1, 7, None)
    assert backlog.blocks(1, 8, None)
    assert backlog.blocks(1, 9, 8)
    assert not backlog.blocks(1, 9, 10)


def test_a_row_blocks_as_long_as_it_is_there() -> None:
    backlog = backlog_of(make_row(1))
    assert runnable(backlog) == [1]
    assert backlog.blocks(1, 7, None)  # while it runs, too
    backlog.remove(1)
    assert not backlog.blocks(1, 7, None)
    assert len(backlog) == 0


def test_a_row_for_the_whole_table_blocks_its_table() -> None:
    backlog = backlog_of(make_row(1, None))
    assert backlog.blocks(1, 7, None)
    assert backlog.blocks(1, None, None)
    assert not backlog.blocks(2, 7, None)
    assert not backlog.blocks(2, None, None)


def test_a_change_of_the_whole_table_is_blocked_by_each_row_of_it() -> None:
    backlog = backlog_of(make_row(1, 7))
    assert backlog.blocks(1, None, None)
    assert not backlog.blocks(2, None, None)


def test_a_row_of_a_hook_that_skips_failures_blocks_nothing() -> None:
    backlog = backlog_of(make_row(1, blocks=False), make_row(2, None, blocks=False))
    assert not backlog.blocks(1, 7, None)
    assert not backlog.blocks(1, None, None)


def test_a_dead_row_blocks() -> None:
    backlog = backlog_of(make_row(1, due=inf))
    assert backlog.blocks(1, 7, None)
    assert runnable(backlog) == []
    assert backlog.due_at() is None


def test_every_key_is_blocked_while_rows_are_missing() -> None:
    """They are in the table only, so their keys are not known."""
    backlog = Backlog()
    backlog.reconcile([make_row(1, 7)], complete=False, unsent=lambda _id: False)
    assert backlog.blocks(2, 99, None)
    backlog.reconcile([make_row(1, 7), make_row(2, 8)], complete=True, unsent=lambda _id: False)
    assert not backlog.blocks(2, 99, None)
    assert backlog.blocks(1, 8, None)


def test_a_row_stays_in_its_lanes_when_the_key_of_its_table_changes() -> None:
    """With the new key its delivery has another lane, but the rows behind it are in the former one."""
    backlog = backlog_of(make_row(1, 7, 8), make_row(2, 7))
    backlog.put(make_row(1, 9, None, table=5, attempts=1))
    row = backlog.rows[1]
    assert (row.content_type_id, row.lane, row.other_lane, row.attempts) == (1, 7, 8, 1)
    assert not backlog.blocks(1, 9, None)
    assert runnable(backlog) == [1, 2]


# Which rows can run.


def test_rows_of_a_key_run_in_order_as_a_chain() -> None:
    """The lanes in memory keep their order, so that they need not be loaded one by one."""
    backlog = backlog_of(make_row(3), make_row(1), make_row(2), make_row(4, 9))
    assert runnable(backlog) == [1, 2, 3, 4]
    assert backlog.loaded == 4
    assert runnable(backlog) == []


def test_no_more_rows_are_taken_than_asked_for() -> None:
    backlog = backlog_of(*(make_row(number, number % 2) for number in range(1, 7)))
    assert [runnable(backlog, most=2) for _ in range(4)] == [[1, 2], [3, 4], [5, 6], []]


def test_a_row_runs_only_after_it_was_written() -> None:
    """Otherwise a crash could keep its result, and forget what was written with the row."""
    backlog = Backlog()
    backlog.put(make_row(1, written=False))
    assert runnable(backlog) == []
    assert backlog.due_at() is None
    backlog.mark_written(1)
    assert runnable(backlog) == [1]


def test_a_row_runs_when_it_is_due_and_those_behind_it_then() -> None:
    backlog = backlog_of(make_row(1, due=50.0), make_row(2, due=5.0), make_row(3, 9, due=20.0))
    assert runnable(backlog) == []
    assert backlog.due_at() == 20.0
    assert runnable(backlog, now=20.0) == [3]
    assert backlog.due_at() == 50.0
    assert runnable(backlog, now=50.0) == [1, 2]
    assert backlog.due_at() is None


def test_a_row_behind_a_dead_one_waits_until_that_is_gone() -> None:
    backlog = backlog_of(make_row(1, due=inf), make_row(2))
    assert runnable(backlog) == []
    backlog.remove(1)
    assert runnable(backlog) == [2]


def test_a_change_of_a_key_waits_in_both_lanes() -> None:
    backlog = backlog_of(make_row(1, 7), make_row(2, 8, due=inf), make_row(3, 7, 8), make_row(4, 7), make_row(5, 8))
    assert runnable(backlog) == [1]
    backlog.remove(2)
    assert runnable(backlog) == [3, 4, 5]


def test_a_row_for_the_whole_table_waits_for_all_before_it_and_blocks_all_behind_it() -> None:
    backlog = backlog_of(
        make_row(1, 7), make_row(2, 8, due=inf), make_row(3, None), make_row(4, 9), make_row(5, None), make_row(6, 7, 8)
    )
    assert runnable(backlog) == [1]
    assert backlog.blocks(1, 10, None)
    backlog.remove(2)
    assert runnable(backlog) == [3, 4, 5, 6]


def test_a_whole_table_is_of_one_table() -> None:
    backlog = backlog_of(make_row(1, None, due=inf), make_row(2, 20, table=2), make_row(3, None, table=2))
    assert runnable(backlog) == [2, 3]


def test_a_row_that_does_not_block_waits_for_nothing() -> None:
    backlog = backlog_of(
        make_row(1, due=inf), make_row(2, blocks=False), make_row(3), make_row(4, None, blocks=False), make_row(5, 8)
    )
    assert runnable(backlog) == [2, 4, 5]


def test_a_row_waits_until_the_hook_has_read_up_to_it() -> None:
    """Older changes of its object, which were in memory only, are read again first."""
    backlog = backlog_of(make_row(1), make_row(5), make_row(6, 9))
    position = 1

    def covers(row: BacklogRow) -> bool:
        return row.change_id <= position

    def take() -> list[int]:
        return [each.row.change_id for each in backlog.take_runnable(NOW, ALL, covers)]

    assert take() == [1]
    assert backlog.due_at() is None
    position = 5
    assert backlog.due_at() is None
    backlog.position_moved()
    assert backlog.due_at() == 0.0
    assert take() == [5]
    position = 6
    backlog.position_moved()
    assert take() == [6]


def test_a_row_that_was_unloaded_is_loaded_again_in_its_place() -> None:
    """Its delivery was given back to the table: it waited behind one that failed."""
    backlog = backlog_of(make_row(1), make_row(2), make_row(3))
    assert runnable(backlog) == [1, 2, 3]
    for change_id in (2, 3, 2):
        backlog.unload(change_id)
    assert backlog.loaded == 1
    backlog.put(make_row(1, due=30.0, attempts=1))  # it has failed
    assert backlog.loaded == 0
    backlog.mark_written(1)
    assert runnable(backlog) == []
    assert runnable(backlog, now=30.0) == [1, 2, 3]


def test_a_row_that_leaves_memory_holds_its_lane_although_a_younger_one_of_it_stays() -> None:
    """In memory that one is in another lane."""
    backlog = backlog_of(make_row(1), make_row(2), make_row(3))
    assert runnable(backlog) == [1, 2, 3]
    backlog.unload(3)
    backlog.put(make_row(1, due=50.0))
    assert runnable(backlog) == []
    assert runnable(backlog, now=50.0) == [1, 3]


def test_an_older_row_that_comes_holds_its_lane_although_a_younger_one_of_it_is_loaded() -> None:
    backlog = backlog_of(make_row(2), make_row(3))
    assert runnable(backlog, most=1) == [2]
    backlog.put(make_row(1, written=False))
    assert runnable(backlog) == []
    backlog.mark_written(1)
    assert runnable(backlog) == [1, 3]


class CountedRows(dict[int, BacklogRow]):
    """Rows that count how often one is looked at."""

    looks = 0

    def __getitem__(self, change_id: int) -> BacklogRow:
        self.looks += 1
        return super().__getitem__(change_id)


def test_rows_that_leave_memory_together_are_loaded_again_without_a_look_at_all_before_them() -> None:
    """The lane of an object has thousands of rows. While one is late, each looks at all before it."""
    backlog = backlog_of(*(make_row(number) for number in range(1, 100)))
    assert len(runnable(backlog)) == 99
    for change_id in range(99, 0, -1):
        backlog.unload(change_id)
    backlog.rows = rows = CountedRows(backlog.rows)
    assert len(runnable(backlog)) == 99
    assert rows.looks < 5 * 99


def test_a_row_is_not_loaded_if_the_one_before_it_fails_in_between() -> None:
    """Its change is being read when that happens."""
    backlog = backlog_of(make_row(1), make_row(2))
    first, second = backlog.take_runnable(NOW, ALL, covers)
    assert backlog.is_loadable(second.row)
    backlog.put(make_row(1, due=30.0))
    assert not backlog.is_loadable(second.row)
    assert not backlog.is_loadable(first.row)  # it is another row now
    backlog.unload(2)
    backlog.mark_written(1)
    assert [each.row.change_id for each in backlog.take_runnable(40.0, ALL, covers)] == [1, 2]


def test_a_row_that_is_gone_is_not_loaded() -> None:
    backlog = backlog_of(make_row(1))
    (taken,) = backlog.take_runnable(NOW, ALL, covers)
    backlog.remove(1)
    assert not backlog.is_loadable(taken.row)


def test_a_row_that_is_not_here_changes_nothing() -> None:
    backlog = backlog_of(make_row(1))
    for change_id in (2, 99):
        backlog.remove(change_id)
        backlog.unload(change_id)
        backlog.mark_written(change_id)
    assert (len(backlog), backlog.loaded) == (1, 0)


def test_a_full_backlog_reads_on_if_its_rows_wait_for_the_log() -> None:
    """Otherwise the hook would read no more, and the rows would never be able to run."""
    backlog = backlog_of(*(make_row(number, number) for number in range(MOST_ROWS)))
    assert backlog.is_full(covers)
    backlog.take_runnable(NOW, 1, lambda _row: False)
    assert not backlog.is_full(lambda _row: False)


def test_a_full_backlog_is_full_once_the_hook_has_read_up_to_its_rows() -> None:
    """Also while so many rows are loaded that no other one is examined; else the hook reads on without end."""
    backlog = backlog_of(*(make_row(number, number) for number in range(MOST_ROWS)))
    backlog.take_runnable(NOW, 10, lambda row: row.change_id < 5)
    backlog.position_moved()
    assert not backlog.is_full(lambda row: row.change_id < 7)
    assert backlog.is_full(covers)
    assert runnable(backlog, most=10) == list(range(5, 15))


def test_a_hook_reads_no_more_while_rows_are_missing() -> None:
    """Each key counts as blocked, so all that it reads would become rows."""
    backlog = Backlog()
    backlog.reconcile([make_row(1, 7)], complete=False, unsent=lambda _id: False)
    assert backlog.is_full(covers)
    backlog.reconcile([make_row(1, 7), make_row(2, 8)], complete=True, unsent=lambda _id: False)
    assert not backlog.is_full(covers)


# Merging.


# Turns by the rate of the hook.


def test_a_row_waits_for_its_turn() -> None:
    backlog = backlog_of(make_row(1, due=0.0), make_row(2, 8, due=0.0))
    assert runnable(backlog, 1.0) == [1, 2]
    backlog.give_turn(backlog.rows[1], 9.0)
    for change_id in (1, 2):
        backlog.unload(change_id)
    assert runnable(backlog, 2.0) == [2]
    assert backlog.due_at() == 9.0
    assert runnable(backlog, 9.0) == [1]


def test_no_row_of_an_object_passes_one_that_waits_for_its_turn() -> None:
    backlog = backlog_of(make_row(1, due=0.0), make_row(2, due=0.0))
    assert runnable(backlog, 1.0) == [1, 2]
    backlog.give_turn(backlog.rows[1], 9.0)
    backlog.unload(1)
    assert not backlog.is_loadable(backlog.rows[2])
    backlog.unload(2)
    assert runnable(backlog, 2.0) == []
    assert runnable(backlog, 9.0) == [1, 2]


def test_a_rate_that_was_changed_gives_new_turns() -> None:
    backlog = backlog_of(make_row(1, due=1000.0, turn_at=1000.0), make_row(2, 8, due=90.0, attempts=1))
    backlog.reexamine(6.0)
    assert runnable(backlog, 6.0) == [1]  # a backoff stays


# Waiting until an object is quiet.


def quiet(wait_s: float = 5.0, at_most_s: float = 60.0) -> Mergeable:
    return Mergeable(Scope.OBJECT, lambda _id: True, wait_s, at_most_s)


def taken_at(backlog: Backlog, now: float, mergeable: Mergeable | None = None) -> list[tuple[int, list[int]]]:
    found = backlog.take_runnable(now, ALL, covers, mergeable or quiet())
    return [(each.row.change_id, [row.change_id for row in each.merged]) for each in found]


def test_each_row_of_an_object_starts_its_quiet_period_again() -> None:
    """Rows are due when no other would have come: here read at 0, 3 and 6."""
    backlog = backlog_of(make_row(1, due=5.0), make_row(2, due=8.0))
    assert taken_at(backlog, 5.0) == []
    backlog.put(make_row(3, due=11.0, written=False))
    assert taken_at(backlog, 8.0) == []  # the third one is on its way to the table
    assert backlog.due_at() == 11.0
    backlog.mark_written(3)
    assert taken_at(backlog, 10.9) == []
    assert taken_at(backlog, 11.0) == [(1, [2, 3])]


def test_another_object_is_not_waited_for() -> None:
    backlog = backlog_of(make_row(1, due=5.0), make_row(2, 8, due=9.0))
    assert taken_at(backlog, 5.0) == [(1, [])]


def test_an_object_that_is_never_quiet_waits_no_longer_than_allowed() -> None:
    """Its first change was read at 0: its quiet period would have ended at 5."""
    rows = [make_row(number, due=5.0 + number) for number in range(100)]
    backlog = backlog_of(*rows)
    assert taken_at(backlog, 59.9) == []
    assert backlog.due_at() == 60.0
    assert taken_at(backlog, 60.0) == [(0, [*range(1, 100)])]


def test_the_quiet_period_follows_a_hook_that_was_changed() -> None:
    backlog = backlog_of(make_row(1, due=5.0), make_row(2, due=50.0))
    assert taken_at(backlog, 6.0) == []
    backlog.reexamine(6.0)
    assert taken_at(backlog, 6.0, quiet(5.0, 6.0)) == [(1, [2])]
    other = backlog_of(make_row(1, due=5.0), make_row(2, due=50.0))
    assert taken_at(other, 6.0) == []
    other.reexamine(6.0)
    assert taken_at(other, 6.0, Mergeable(Scope.OBJECT, lambda _id: True)) == [(1, [2])]


def test_a_change_of_the_key_ends_what_is_waited_for() -> None:
    """Nothing behind it can be merged."""
    backlog = backlog_of(make_row(1, due=5.0), make_row(2, 7, 8, due=9.0), make_row(3, due=20.0))
    assert taken_at(backlog, 5.0) == [(1, [])]


def test_an_attempt_after_a_failure_does_not_wait_for_quiet() -> None:
    """It has waited once, and its backoff. It takes the changes since then with it."""
    backlog = backlog_of(make_row(1, due=5.0, attempts=1, failures=1), make_row(2, due=9.0))
    assert taken_at(backlog, 5.0) == [(1, [2])]


def test_a_person_ends_the_wait_for_quiet() -> None:
    """All rows of the object are made due, in the table."""
    backlog = backlog_of(make_row(1, due=5.0), make_row(2, due=90.0))
    assert taken_at(backlog, 6.0) == []
    backlog.reconcile([make_row(1, due=5.0), make_row(2, due=6.0)], complete=True, unsent=lambda _id: False)
    assert taken_at(backlog, 6.0) == [(1, [2])]


def test_as_many_rows_as_fit_one_delivery_wait_for_no_more() -> None:
    """So an object that changes all the time does not fill the backlog."""
    backlog = backlog_of(*(make_row(number, due=5.0 + number) for number in range(MOST_MERGED + 1)))
    assert taken_at(backlog, 5.0, quiet(5.0, 86_400.0))[0][1][-1] == MOST_MERGED


# Merging the changes of a request. Rows have another transaction each.


def by_request() -> Mergeable:
    return Mergeable(Scope.REQUEST, lambda _id: True, 5.0, 60.0)


def row_of_request(number: int, request: int | None, due: float = 5.0) -> BacklogRow:
    return make_row(number, transaction_id=number, request=request, due=due)


def test_rows_of_one_request_are_merged_and_those_of_others_are_not() -> None:
    rows = [row_of_request(number, request) for number, request in enumerate([7, 7, 8, 7, None, None], 1)]
    assert taken_at(backlog_of(*rows), 5.0, by_request()) == [(1, [2]), (3, []), (4, []), (5, []), (6, [])]


def test_rows_without_a_request_are_merged_by_transaction() -> None:
    rows = [make_row(1), make_row(2), make_row(3, transaction_id=2), make_row(4, transaction_id=2, request=7)]
    assert taken_at(backlog_of(*rows), NOW, by_request()) == [(1, [2]), (3, []), (4, [])]


def test_a_request_waits_until_the_object_is_quiet() -> None:
    backlog = backlog_of(row_of_request(1, 7), row_of_request(2, 7, due=8.0))
    assert taken_at(backlog, 7.9, by_request()) == []
    assert taken_at(backlog, 8.0, by_request()) == [(1, [2])]


def test_another_request_ends_the_wait() -> None:
    """No further row can be merged into those before it."""
    for other in (8, None):
        backlog = backlog_of(row_of_request(1, 7), row_of_request(2, 7, due=6.0), row_of_request(3, other, due=9.0))
        assert taken_at(backlog, 5.0, by_request()) == [(1, [2])]


def test_a_row_without_a_request_does_not_wait() -> None:
    """Although one of the same transaction is due later: that is complete."""
    assert taken_at(backlog_of(make_row(1), make_row(2, due=9.0)), NOW, by_request()) == [(1, [2])]


def taken(backlog: Backlog, mergeable: Mergeable) -> list[tuple[int, list[int]]]:
    return [_ids(each) for each in backlog.take_runnable(NOW, ALL, covers, mergeable)]


def _ids(each: Runnable) -> tuple[int, list[int]]:
    return each.row.change_id, [row.change_id for row in each.merged]


def test_rows_of_an_object_are_merged_into_the_first() -> None:
    backlog = backlog_of(make_row(1), make_row(2, transaction_id=2), make_row(3), make_row(4, 9))
    assert taken(backlog, Mergeable(Scope.OBJECT, lambda _id: True)) == [(1, [2, 3]), (4, [])]
    assert backlog.loaded == 4


def test_only_rows_of_one_transaction_are_merged_if_the_hook_does_not_wait() -> None:
    backlog = backlog_of(make_row(1), make_row(2), make_row(3, transaction_id=2), make_row(4, transaction_id=2))
    assert taken(backlog, Mergeable(Scope.TRANSACTION, lambda _id: True)) == [(1, [2]), (3, [4])]


def test_rows_of_an_incomplete_transaction_are_not_merged() -> None:
    """More of its changes may come; the row runs by itself when the transaction is complete."""
    backlog = backlog_of(make_row(1), make_row(2, transaction_id=2), make_row(3))

    def is_complete(transaction_id: int) -> bool:
        return transaction_id != 2

    found = backlog.take_runnable(
        NOW, ALL, lambda row: is_complete(row.transaction_id), Mergeable(Scope.OBJECT, is_complete)
    )
    assert [_ids(each) for each in found] == [(1, [])]


def test_what_ends_a_chain() -> None:
    """A change of the key, a change of the whole table, a dead row, one that is not written, or another table."""
    merge_all = Mergeable(Scope.OBJECT, lambda _id: True)
    ends = [
        make_row(2, 7, 8),
        make_row(2, None),
        make_row(2, due=inf),
        make_row(2, written=False),
        make_row(2, table=2),
    ]
    for row in ends:
        backlog = backlog_of(make_row(1))
        was_written = row.written
        backlog.put(row)
        if was_written:
            backlog.mark_written(2)
        backlog.put(make_row(3))
        backlog.mark_written(3)
        assert taken(backlog, merge_all)[0] == (1, []), row


def test_a_change_of_the_key_or_of_the_whole_table_is_not_merged() -> None:
    merge_all = Mergeable(Scope.OBJECT, lambda _id: True)
    assert taken(backlog_of(make_row(1, 7, 8), make_row(2, 7)), merge_all) == [(1, []), (2, [])]
    assert taken(backlog_of(make_row(1, None), make_row(2, None)), merge_all) == [(1, []), (2, [])]
    assert taken(backlog_of(make_row(1, blocks=False), make_row(2)), merge_all) == [(1, []), (2, [])]


def test_merged_rows_come_again_if_they_are_not_delivered_together() -> None:
    backlog = backlog_of(make_row(1), make_row(2), make_row(3))
    assert taken(backlog, Mergeable(Scope.OBJECT, lambda _id: True)) == [(1, [2, 3])]
    for change_id in (2, 3):
        backlog.unload(change_id)
    assert runnable(backlog) == [2, 3]


# What other sessions do.


def test_a_row_that_another_session_deleted_is_gone_and_frees_those_behind_it() -> None:
    backlog = backlog_of(make_row(1, due=inf), make_row(2))
    assert backlog.reconcile([make_row(2)], complete=True, unsent=lambda _id: False) == [1]
    assert runnable(backlog) == [2]


def test_a_row_that_another_session_retries_is_due() -> None:
    backlog = backlog_of(make_row(1, due=inf, attempts=3, failures=3), make_row(2))
    retried = make_row(1, due=NOW, attempts=3)
    assert backlog.reconcile([retried, make_row(2)], complete=True, unsent=lambda _id: False) == []
    assert runnable(backlog) == [1, 2]
    assert backlog.rows[1].failures == 0


def test_a_row_that_another_session_queues_is_added() -> None:
    backlog = backlog_of(make_row(5))
    backlog.reconcile([make_row(3), make_row(5)], complete=True, unsent=lambda _id: False)
    assert runnable(backlog) == [3, 5]


def test_a_row_that_another_session_queues_holds_those_that_are_not_loaded() -> None:
    """Although a younger row, between them, is in memory already."""
    backlog = backlog_of(make_row(2))
    assert runnable(backlog) == [2]
    queued = [make_row(1, due=50.0), make_row(2), make_row(3)]
    backlog.reconcile(queued, complete=True, unsent=lambda _id: False)
    assert runnable(backlog) == []
    backlog.remove(2)
    assert runnable(backlog) == []
    assert runnable(backlog, now=50.0) == [1, 3]


def test_a_row_that_the_settler_has_yet_to_write_stays_as_it_is() -> None:
    """The table does not have it yet, or has it as it was before."""
    backlog = Backlog()
    backlog.put(make_row(1, written=False))
    backlog.put(make_row(2, written=False, due=50.0, attempts=2))
    found = [make_row(2, due=NOW, attempts=1)]
    assert backlog.reconcile(found, complete=True, unsent=lambda id_: id_ in (1, 2)) == []
    assert len(backlog) == 2
    assert backlog.rows[2].attempts == 2
    assert runnable(backlog) == []


def test_a_row_that_is_in_memory_takes_over_its_counts() -> None:
    """It was discarded and queued again while it runs: its attempts are numbered on."""
    backlog = backlog_of(make_row(1))
    assert runnable(backlog) == [1]
    backlog.reconcile([make_row(1, attempts=4, failures=2, due=99.0)], complete=True, unsent=lambda _id: False)
    row = backlog.rows[1]
    assert (row.attempts, row.failures, row.loaded, backlog.loaded) == (4, 2, True, 1)


def test_nothing_changes_if_nothing_has_changed() -> None:
    """The table has the time of its own clock, which is not quite the same."""
    backlog = backlog_of(make_row(1, due=50.0), make_row(2, 9))
    rows = dict(backlog.rows)
    assert backlog.reconcile([make_row(1, due=50.4), make_row(2, 9)], complete=True, unsent=lambda _id: False) == []
    assert backlog.rows == rows


def test_rows_beyond_the_first_ones_are_not_missed() -> None:
    """Only the first rows of the table were read, so a row that is not among them can still be there."""
    backlog = backlog_of(make_row(1), make_row(9))
    assert backlog.reconcile([make_row(1)], complete=False, unsent=lambda _id: False) == []
    assert set(backlog.rows) == {1, 9}


def test_a_row_behind_missing_ones_waits_until_they_are_here() -> None:
    """One of them may be older, and of the same key."""
    backlog = Backlog()
    backlog.reconcile([make_row(1, 5), make_row(2, 6)], complete=False, unsent=lambda _id: False)
    backlog.put(make_row(8, 7, written=False))
    backlog.put(make_row(9, 8, blocks=False, written=False))
    backlog.mark_written(8)
    backlog.mark_written(9)
    assert runnable(backlog) == [1, 2, 9]
    assert backlog.due_at() is None
    found = [make_row(1, 5), make_row(2, 6), make_row(3, 7), make_row(7, 5)]
    backlog.reconcile(found, complete=False, unsent=lambda _id: False)
    assert runnable(backlog) == [3, 7]
    backlog.reconcile([*found, make_row(8, 7)], complete=True, unsent=lambda id_: id_ == 9)
    assert runnable(backlog) == [8]


# Compared with an oracle.


class Oracle:
    """Looks at all pairs of rows. ``many``: by change, the lanes of rows that have more than the table has room for."""

    def __init__(self, backlog: Backlog, many: Mapping[int, set[int]]) -> None:
        self._backlog = backlog
        self._many = many

    def runnable(self, now: float, position: int) -> list[int]:
        """The rows that are written, due and read up to, and before which every older conflicting row is loaded."""
        rows = self._backlog.rows
        loaded = {row.change_id for row in rows.values() if row.loaded}
        found: list[int] = []
        for change_id, row in sorted(rows.items()):
            is_next = all(
                other in loaded for other, older in rows.items() if other < change_id and conflict(older, row)
            )
            if change_id not in loaded and row.written and row.due <= now and change_id <= position and is_next:
                found.append(change_id)
                loaded.add(change_id)
        return found

    def due_at(self, now: float) -> float | None:
        """When a row is due that is not due yet."""
        rows = self._backlog.rows.values()
        dues = [row.due for row in rows if row.written and not row.loaded and now < row.due < inf]
        return min(dues, default=None)

    def blocks(self, asked: BacklogRow) -> bool:
        return any(conflict(row, asked) for row in self._backlog.rows.values())

    def behind(self, row: BacklogRow) -> set[int]:
        """The loaded rows that wait for this one in memory, directly or not."""
        found: set[int] = set()
        waiting = [row]
        while waiting:
            first = waiting.pop()
            for other in self._backlog.rows.values():
                is_behind = (
                    other.loaded and other.change_id > first.change_id and self._conflict_in_memory(first, other)
                )
                if is_behind and other.change_id not in found:
                    found.add(other.change_id)
                    waiting.append(other)
        return found

    def _conflict_in_memory(self, one: BacklogRow, other: BacklogRow) -> bool:
        lanes = [self._many.get(row.change_id) or {row.lane, row.other_lane} - {None} for row in (one, other)]
        return conflict(one, other) and (not all(lanes) or bool(lanes[0] & lanes[1]))


def conflict(one: BacklogRow, other: BacklogRow) -> bool:
    if not (one.blocks and other.blocks):
        return False
    if one.content_type_id == other.content_type_id and (one.lane is None or other.lane is None):
        return True
    return bool(({one.lane, one.other_lane} & {other.lane, other.other_lane}) - {None})


class Life:
    """Random events of a hook's backlog, as its queue makes them; the oracle is asked after each."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.backlog = Backlog()
        self.many: dict[int, set[int]] = {}
        self.oracle = Oracle(self.backlog, self.many)
        self.now = 0.0
        self.position = 0
        self.keys = self.rng.choice([4, 11])  # of each table
        self.weights = [3, 1, 3, 0] if self.keys > 4 else [7, 3, 1, 1]

    def row(self, change_id: int) -> BacklogRow:
        rng = self.rng
        table = rng.choice([1, 1, 2])
        one, other = (100 * table + number for number in rng.sample(range(self.keys), 2))
        kind = rng.choices(["one", "two", "many", "table"], self.weights)[0]
        if change_id not in self.backlog.rows:
            self.many.pop(change_id, None)
            if kind == "many":
                self.many[change_id] = {100 * table + number for number in rng.sample(range(self.keys), 3)}
        return make_row(
            change_id,
            None if kind in ("many", "table") else one,
            other if kind == "two" else None,
            table=table,
            written=False,
            blocks=rng.random() < 0.85,
            due=self.now + rng.choice([0.0, 0.0, 0.0, 3.0, inf]) - rng.random(),  # no two at the same time
        )

    def some(self, *, loaded: bool | None = None) -> BacklogRow | None:
        rows = [row for row in self.backlog.rows.values() if loaded is None or row.loaded == loaded]
        return self.rng.choice(rows) if rows else None

    def unload_behind(self, row: BacklogRow) -> None:
        """What waits in memory behind a row that comes, or fails, is parked with it; some may have other lanes."""
        behind = sorted(self.oracle.behind(row), reverse=self.rng.random() < 0.5)
        for change_id in behind if self.rng.random() < 0.7 else self.rng.sample(behind, len(behind) // 2):
            self.backlog.unload(change_id)

    def put(self) -> None:
        row = self.row(self.rng.randint(1, 60))
        if row.change_id not in self.backlog.rows:
            self.unload_behind(row)
            self.backlog.put(row)

    def fail(self) -> None:
        row = self.some(loaded=True)
        if row is not None:
            self.unload_behind(row)
            failed = self.row(row.change_id)
            failed.blocks = row.blocks and failed.blocks
            self.backlog.put(failed)

    def unload(self) -> None:
        row = self.some(loaded=True)
        if row is not None:
            self.unload_behind(row)
            self.backlog.unload(row.change_id)

    def remove(self) -> None:
        row = self.some()
        if row is not None:
            self.backlog.remove(row.change_id)

    def write(self) -> None:
        for row in list(self.backlog.rows.values()):
            if self.rng.random() < 0.7:
                self.backlog.mark_written(row.change_id)

    def take(self) -> None:
        expected = self.oracle.runnable(self.now, self.position)
        most = self.rng.choice([1, 2, 5, ALL])
        found = self.backlog.take_runnable(self.now, most, lambda row: row.change_id <= self.position)
        assert [each.row.change_id for each in found] == expected[:most]
        if most == ALL:
            assert self.backlog.due_at() == self.oracle.due_at(self.now)

    def wait(self) -> None:
        self.now += self.rng.choice([1.0, 5.0])

    def read(self) -> None:
        self.position = max(0, self.position + self.rng.randint(-5, 25))
        self.backlog.position_moved()

    def decide(self) -> None:
        """Another session retries some rows that are not in memory, discards others and queues new ones."""
        table = {
            row.change_id: make_row(
                row.change_id,
                row.lane,
                row.other_lane,
                table=row.content_type_id,
                blocks=row.blocks,
                due=row.due,
                attempts=row.attempts,
                failures=row.failures,
            )
            for row in self.backlog.rows.values()
        }
        for change_id, row in list(table.items()):
            choice = self.rng.random()
            if choice < 0.2 and not self.backlog.rows[change_id].loaded:
                row.blocks, row.due, row.failures = True, self.now, 0
                self.unload_behind(row)
            elif choice < 0.3:
                del table[change_id]
        new = self.row(self.rng.randint(1, 60))
        if new.change_id not in self.backlog.rows:
            table[new.change_id] = new
        unwritten = {row.change_id for row in self.backlog.rows.values() if not row.written}
        gone = self.backlog.reconcile(table.values(), complete=True, unsent=lambda id_: id_ in unwritten)
        assert not unwritten & set(gone)
        assert set(self.backlog.rows) == set(table) | unwritten

    def check(self) -> None:
        backlog = self.backlog
        assert backlog.loaded == sum(row.loaded for row in backlog.rows.values())
        for _ in range(5):
            asked = self.row(99)
            asked.blocks = True
            assert backlog.blocks(asked.content_type_id, asked.lane, asked.other_lane) == self.oracle.blocks(asked)


@given(st.integers(0, 2**32))
def test_exactly_those_rows_run_that_can(seed: int) -> None:
    """So no delivery overtakes another of its key, and each can run in the end."""
    life = Life(seed)
    steps = [life.put, life.fail, life.unload, life.remove, life.write, life.take, life.wait, life.read, life.decide]
    for step in life.rng.choices(steps, [6, 2, 1, 3, 3, 4, 2, 2, 1], k=80):
        step()
        life.check()
    for row in life.backlog.rows.values():
        life.backlog.mark_written(row.change_id)
    life.now, life.position = life.now + 10, 100
    life.backlog.position_moved()
    while rows := list(life.backlog.rows.values()):
        life.take()
        loaded = [row for row in rows if row.loaded]
        # A dead one, if nothing else is left, is discarded.
        row = min(loaded or rows, key=lambda row: row.change_id)
        assert loaded or row.is_dead
        life.backlog.remove(row.change_id)
