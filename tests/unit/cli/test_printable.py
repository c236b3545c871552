"""What a terminal gets: a value from a table must not control it, nor read as another one."""

import json

import pytest

from jobhooks.cli.show.output import indented, one_line, print_json, print_json_line, print_message, printable
from jobhooks.cli.show.settings import in_words
from jobhooks.contract.choices import Ordering

RIGHT_TO_LEFT = "\u202e"  # "admin" behind it reads as "nimda"
HIDDEN = ("\x1b", "\x7f", "\x9b", "\xad", RIGHT_TO_LEFT, "\u2066", "\u061c", "\u200b", "\ufeff", "\u2028", "\U000e0041")


@pytest.mark.parametrize("character", HIDDEN)
def test_hidden_characters_are_written_as_escapes(character: str) -> None:
    assert printable(f"a{character}b").isascii()
    assert character not in one_line(f"a{character}b")


def test_a_log_line_of_several_lines_is_indented_so_that_none_reads_as_another() -> None:
    assert indented("boom\n12:00 success: forged\x1b", 4) == "boom\n    12:00 success: forged\\x1b"


def test_letters_of_all_scripts_stay() -> None:
    text = "Zürich Łódź Αθήνα Київ תל אביב القاهرة दिल्ली 東京 서울 ✔\tx\ny"
    assert printable(text) == text


@pytest.mark.parametrize("character", HIDDEN)
def test_json_has_them_as_escapes_of_json(character: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So a terminal shows them, and a program reads the same value."""
    for print_value in (print_json, print_json_line):
        print_value({"name": character})
        printed = capsys.readouterr().out
        assert character not in printed
        assert json.loads(printed) == {"name": character}


def test_a_message_has_them_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    print_message(f"there is no hook {RIGHT_TO_LEFT}x\n  Try: jobhooks hook list")
    assert capsys.readouterr().err == "there is no hook \\u202ex\n  Try: jobhooks hook list\n"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (1.0, "1 second"),
        (0.5, "0.5 seconds"),
        ([1.0], "1 second"),
        ([1.0, 5.0], "1, 5 seconds"),
        (15, "15"),
        (None, "none"),
        ("", "none"),
        (("site_id", "rack_id"), "site_id, rack_id"),
        (Ordering.OBJECT, "object"),
        ("two\nlines", "two\\nlines"),
    ],
)
def test_a_setting_is_shown_on_one_line(value: object, words: str) -> None:
    assert in_words(value) == words
