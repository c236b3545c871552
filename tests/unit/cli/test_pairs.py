"""Arguments of the form NAME=VALUE."""

import pytest
import typer

from jobhooks.cli.pairs import pairs


def test_a_value_may_have_an_equals_sign_or_be_empty() -> None:
    assert pairs(["a=b=c", "d="], "KEY=VALUE", "--data") == {"a": "b=c", "d": ""}


@pytest.mark.parametrize("text", ["a", "=1", ""])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=f"{text} is not KEY=VALUE"):
        pairs([text], "KEY=VALUE", "--data")


def test_a_name_that_is_given_twice_is_refused() -> None:
    """Otherwise the last value would count, and nothing would say that the first one does not."""
    with pytest.raises(typer.BadParameter, match="max_attempts is given twice"):
        pairs(["max-attempts=1", "max_attempts=2"], "NAME=VALUE", "NAME", lambda name: name.replace("-", "_"))
