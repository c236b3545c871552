"""Why a value is not valid, without the words of the library that checked it."""

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from jobhooks.runtime.invalid_values import reason
from jobhooks.runtime.settings import LogLevel


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, "many", '"many" is not a whole number'),
        (int, 1.5, "1.5 is not a whole number"),
        (float, "x", '"x" is not a number'),
        (bool, "maybe", '"maybe" is not true or false'),
        (str, 3, "3 is not a text"),
        (Annotated[int, Field(ge=1)], 0, "0 is not at least 1"),
        (Annotated[int, Field(le=100_000)], 200_000, "200000 is not at most 100000"),
        (Annotated[float, Field(gt=0)], -1.0, "-1.0 is not more than 0.0"),
        (LogLevel, "loud", "\"loud\" is not one of 'debug', 'info', 'warning', 'error'"),
    ],
)
def test_a_reason_names_the_value_and_what_it_should_be(annotation: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(annotation).validate_python(value)
    assert reason(caught.value.errors()[0]) == words
