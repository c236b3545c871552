"""The user and the request that are recorded with the writes of a run."""

from dataclasses import replace

import pytest

from jobhooks.contract.run import literal, set_statements, settings_of
from support.making import make_change

ADA, BOB = (replace(make_change(number), user_name=name, request_id="r") for number, name in ((1, "ada"), (2, "bob")))


def test_values_that_all_changes_share_are_set() -> None:
    """A batch of several users has no user: no one of them wrote all of it."""
    assert dict(settings_of([ADA])) == {"jobhooks.user_name": "E'ada'", "jobhooks.request_id": "E'r'"}
    assert dict(settings_of([ADA, BOB])) == {"jobhooks.request_id": "E'r'"}
    assert dict(settings_of([replace(ADA, request_id=None)])) == {"jobhooks.user_name": "E'ada'"}
    assert set_statements([]) == ""


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("it's", r"E'it\x27s'"),
        (r"a\b", r"E'a\x5cb'"),
        ("100%", r"E'100\x25'"),
        (":a ? $1", r"E'\x3aa \x3f \x241'"),
        ("é 漢字 😀", "E'é 漢字 😀'"),
        ("\N{REPLACEMENT CHARACTER}e9", "E'?e9'"),
        ("a\nb", r"E'a\x0ab'"),
    ],
)
def test_no_character_ends_the_text_or_is_a_place_of_a_parameter(text: str, written: str) -> None:
    assert literal(text) == written


def test_statements_name_what_the_changes_share() -> None:
    ada = "set local jobhooks.user_name = E'ada'; set local jobhooks.request_id = E'r'"
    assert set_statements([ADA]) == ada
    assert set_statements([ADA, ADA]) == ada
    assert set_statements([ADA, BOB]) == "set local jobhooks.request_id = E'r'"
