"""States of a delivery: one table says which state can follow which."""

import pytest

from jobhooks.engine.delivery.state import TRANSITIONS, State

ENDS = {State.SETTLED, State.PARKED, State.DROPPED}


def reachable(start: State) -> set[State]:
    found: set[State] = set()
    states = [start]
    while states:
        state = states.pop()
        if state not in found:
            found.add(state)
            states += TRANSITIONS[state]
    return found


def test_each_state_has_transitions_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    assert reachable(State.WAITING) == set(State)


def test_a_delivery_that_has_left_memory_stays_so() -> None:
    """It is read, or loaded, as another delivery."""
    assert {state for state in State if not TRANSITIONS[state]} == ENDS


@pytest.mark.parametrize("state", list(State))
def test_each_state_leads_to_an_end(state: State) -> None:
    """Otherwise a delivery could stay in memory for ever, and keep its page open."""
    assert reachable(state) & ENDS


@pytest.mark.parametrize(
    ("state", "following"),
    [
        (State.SETTLING, State.READY),  # the attempt has ended: it is not attempted again before that is written
        (State.SETTLING, State.DROPPED),
        (State.RUNNING, State.PARKING),  # a run ends before its delivery is a row alone
        (State.RUNNING, State.DROPPED),
        (State.PARKING, State.READY),  # it has become a row, which runs when it is loaded
        (State.PARKING, State.DROPPED),  # the settler writes its row
        (State.WAITING, State.SETTLING),
    ],
)
def test_no_delivery_is_attempted_twice_or_lost(state: State, following: State) -> None:
    assert following not in TRANSITIONS[state]
