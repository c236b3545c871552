"""Numbers of snapshots: JSON encoders write them without loss, and they act as the Decimals that they were before."""

import json
import math
import pickle
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, strategies as st

from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.nautobot.exact_number import ExactNumber, json_ready
from jobhooks.contract.snapshots import decode_row, encode_row
from jobhooks.engine.delivery.outcome import Clock, completed

FINITE = st.decimals(allow_nan=False, allow_infinity=False)


@given(FINITE)
def test_json_keeps_every_digit(number: Decimal) -> None:
    assert str(Decimal(json.loads(json.dumps(ExactNumber(number))))) == str(number)


@given(FINITE, FINITE.filter(bool))
def test_it_compares_as_a_decimal(one: Decimal, other: Decimal) -> None:
    mine, theirs = ExactNumber(one), ExactNumber(other)
    assert (mine == other, other == mine, mine == theirs) == ((one == other),) * 3
    assert (mine < other, other < mine, mine <= theirs) == (one < other, other < one, one <= other)
    assert mine == one and one == mine and hash(mine) == hash(one) and (mine != one) is False


def test_it_computes_as_a_decimal() -> None:
    number: Any = ExactNumber("1.10")
    assert (number + 1, 1 + number, number * Decimal(2), Decimal(3) - number, -number, sum([number, number])) == (
        Decimal("2.10"),
        Decimal("2.10"),
        Decimal("2.20"),
        Decimal("1.90"),
        Decimal("-1.10"),
        Decimal("2.20"),
    )
    assert (float(number), int(number), round(number, 1), math.floor(number)) == (1.1, 1, Decimal("1.1"), 1)
    assert (Decimal(number), number.quantize(Decimal(1))) == (Decimal("1.10"), Decimal(1))
    assert (f"{number:.3f}", str(number), f"{number}") == ("1.100", "1.10", "1.10")
    assert not ExactNumber("0.0") and ExactNumber("0.1")


def test_texts_are_compared_as_texts() -> None:
    """A receiver for Nautobot knows a decimal as its text."""
    assert ExactNumber("1.10") == "1.10" and ExactNumber("1.10") != "1.1"
    with pytest.raises(TypeError, match="no order with the text"):
        assert ExactNumber("1.10") < "2"  # pyright: ignore[reportOperatorIssue]


def test_it_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(ExactNumber("1.10"))) == Decimal("1.10")


def test_a_row_is_converted_only_if_it_has_such_numbers() -> None:
    plain = decode_row('{"id": 1, "name": "a", "data": {"a": [1, null]}, "on": true}')
    assert json_ready(plain) is plain
    row = decode_row('{"id": 1, "price": 1.10, "data": {"a": [2.5, {"b": 3.0}]}}')
    assert json.dumps(json_ready(row)) == '{"id": 1, "price": "1.10", "data": {"a": ["2.5", {"b": "3.0"}]}}'
    assert json_ready(row) == row and json_ready(None) is None


def test_it_goes_back_into_a_column_and_a_result_as_a_number() -> None:
    row = decode_row('{"price": 1.10, "data": {"a": [2.50]}}')
    assert encode_row(json_ready(row)) == encode_row(row) == '{"price":1.10,"data":{"a":[2.50]}}'
    assert completed(1.0, Clock(), ReceiverLog(), json_ready(row)).value == '{"price":1.10,"data":{"a":[2.50]}}'
