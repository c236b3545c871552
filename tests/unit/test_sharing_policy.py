"""Which runs may share a transaction, and for how long a hook whose runs were undone may not."""

import pytest
from hypothesis import given, strategies as st

from jobhooks.engine.running.sharing_policy import LONGEST_BAN, MOST, SHORTEST_BAN, SharingPolicy, may_share


@pytest.mark.parametrize(
    "statement", ["select 1", " Insert into t values (1) ;", "WITH a AS (select 1) select * from a"]
)
def test_a_single_query_may_share(statement: str) -> None:
    assert may_share(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "commit",
        "rollback to savepoint s",
        "set constraints all immediate",
        "select 1; commit",
        "select pg_Advisory_lock(1)",
        "selection",
        "",
    ],
)
def test_what_could_end_the_transaction_or_outlast_it_may_not(statement: str) -> None:
    assert not may_share(statement)


def banned_runs(policy: SharingPolicy) -> int:
    count = 0
    while not policy.next_may_share():
        count += 1
    return count


def test_each_ban_is_twice_as_long_up_to_a_limit() -> None:
    policy = SharingPolicy()
    assert banned_runs(policy) == 0
    bans: list[int] = []
    for _ in range(12):
        policy.undone()
        policy.undone()  # counts once, while the ban lasts
        bans.append(banned_runs(policy))
    assert bans[:3] == [SHORTEST_BAN, 2 * SHORTEST_BAN, 4 * SHORTEST_BAN]
    assert bans[-1] == LONGEST_BAN


def test_runs_that_commit_together_shorten_the_next_ban() -> None:
    policy = SharingPolicy()
    for _ in range(2):
        policy.undone()
        banned_runs(policy)
    policy.committed(4 * SHORTEST_BAN)
    policy.undone()
    assert banned_runs(policy) == 2 * SHORTEST_BAN


@given(st.lists(st.tuples(st.integers(1, MOST), st.floats(0, 10))))
def test_a_message_to_a_worker_has_at_least_one_run_and_at_most_doubles(taken: list[tuple[int, float]]) -> None:
    policy = SharingPolicy()
    for runs, seconds in taken:
        before = policy.batch_size
        policy.took(runs, seconds)
        assert 1 <= policy.batch_size <= min(MOST, 2 * before)
