"""Which runs share a transaction: pure decisions, by what a run sends and by how runs before it went."""

import pytest
from hypothesis import given, strategies as st

from jobhooks.engine.running.sharing_policy import LONGEST_BAN, MOST, SHORTEST_BAN, SharingPolicy, may_share, prepares


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        " INSERT into t values (1);",
        "with a as (select 1) select * from a",
        "values (1)",
        "copy t from stdin",
    ],
)
def test_a_single_query_may_share(statement: str) -> None:
    assert may_share(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        "commit",
        "select 1; commit",
        "set constraints all immediate",
        "prepare transaction 'a'",
        "savepoint a",
        "selection",
        "-- note\nselect 1",  # not recognized, which is safe
        "select pg_advisory_lock(1)",
        "SELECT PG_ADVISORY_LOCK(1)",
    ],
)
def test_anything_else_keeps_to_itself(statement: str) -> None:
    assert not may_share(statement)


def banned(policy: SharingPolicy) -> int:
    """For how many runs sharing is banned now."""
    runs = 0
    while not policy.next_may_share():
        runs += 1
    return runs


def test_sharing_is_allowed_until_a_run_is_undone() -> None:
    policy = SharingPolicy()
    assert banned(policy) == 0
    policy.undone()
    assert banned(policy) == SHORTEST_BAN


def test_each_further_ban_is_twice_as_long_up_to_a_limit() -> None:
    policy = SharingPolicy()
    lengths: list[int] = []
    for _ in range(13):
        policy.undone()
        lengths.append(banned(policy))
    assert lengths[:4] == [100, 200, 400, 800] and lengths[-1] == LONGEST_BAN == max(lengths)


def test_a_ban_is_not_made_longer_by_runs_that_began_before_it() -> None:
    policy = SharingPolicy()
    policy.undone()
    policy.undone()
    assert banned(policy) == SHORTEST_BAN


def test_runs_that_commit_together_halve_the_next_ban() -> None:
    policy = SharingPolicy()
    for expected in (100, 200):
        policy.undone()
        assert banned(policy) == expected
    policy.committed(399)
    policy.committed(1)  # as many as the next ban is long
    policy.undone()
    assert banned(policy) == 200


def test_a_worker_gets_as_many_runs_as_it_finishes_in_a_moment() -> None:
    policy = SharingPolicy()
    assert policy.batch_size == 1
    sizes: list[int] = []
    for _ in range(7):
        policy.took(policy.batch_size, policy.batch_size * 0.0001)
        sizes.append(policy.batch_size)
    assert sizes == [2, 4, 8, 16, 32, 64, 64]
    policy.took(32, 0.32)
    assert policy.batch_size == 1


@given(st.lists(st.tuples(st.integers(1, MOST), st.floats(0, 1e6)), max_size=20))
def test_the_number_of_runs_stays_within_its_limits(durations: list[tuple[int, float]]) -> None:
    policy = SharingPolicy()
    for runs, seconds in durations:
        former = policy.batch_size
        policy.took(runs, seconds)
        assert 1 <= policy.batch_size <= min(MOST, 2 * former)


@pytest.mark.parametrize(
    ("statement", "is_one"),
    [
        ("prepare transaction 'x'", True),
        (" PREPARE  Transaction 'x';", True),
        ("/* now */ prepare transaction 'x'", True),
        ("set local lock_timeout = 1; prepare transaction 'x'", True),
        ("select 'prepare transaction'", False),
        ("prepare s as select 1", False),
    ],
)
def test_a_statement_that_prepares_the_transaction_is_known(statement: str, is_one: bool) -> None:
    assert prepares(statement) is is_one
