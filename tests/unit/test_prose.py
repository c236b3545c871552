"""The idiom counter of ``make check``: the text it reads, and its counts."""

from pathlib import Path

import pytest

from prose import IDIOMS, find_files, measure, prose_lines, room_of

EXAMPLES = {
    "what, as a relative": "Park what is behind it.",
    "whoever, whatever": "Whoever writes, whatever it takes.",
    "of which, by which": "the table of which it is a row",
    "nobody, somebody, none": "None is left.",
    "is to": "It is to be closed.",
    "so many, as much": "so many changes",
    ", too": "of the key, too",
    "is told": "The settler is told.",
    "take note": "They take note.",
    "of its own, of ours": "a task of its own",
    "by now, meanwhile": "gone by now",
}


def hits(suffix: str, text: str) -> dict[str, int]:
    return {name: count for name, count in measure(prose_lines(suffix, text)).hits.items() if count}


@pytest.mark.parametrize(("idiom", "text"), EXAMPLES.items())
def test_every_idiom_is_found(idiom: str, text: str) -> None:
    assert set(hits(".md", text)) == {idiom}


def test_all_idioms_have_an_example() -> None:
    """The list above is complete: an idiom without an example could be misspelt and never found."""
    assert set(EXAMPLES) == set(IDIOMS)


def test_plain_english_has_no_hits() -> None:
    assert not hits(".md", "Park everything queued behind a failed delivery. Retry it after a backoff.")


def test_python_strings_and_names_are_not_prose() -> None:
    """Only docstrings and comments are English that a reader of the code meets."""
    source = '"""What it does."""\nwhat = "what"  # what for\n\n\ndef what():\n    """Nobody."""\n'
    assert hits(".py", source) == {"what, as a relative": 2, "nobody, somebody, none": 1}


def test_directives_in_comments_are_not_prose() -> None:
    assert not hits(".py", "x = 1  # noqa: E501 what\ny = 2  # pyright: ignore what\n")


def test_only_comments_of_sql_are_prose() -> None:
    assert hits(".sql", "select 'what' -- what\nfrom what; -- and so on\n") == {
        "what, as a relative": 1,
        "by now, meanwhile": 1,
    }


def test_code_in_markdown_is_not_prose() -> None:
    assert not hits(".md", "Call `what` as in\n\n```python\nwhat = nobody\n```\n")


def test_lines_keep_their_numbers() -> None:
    """``--show`` leads to the line, also below a block of code."""
    assert (5, "what") in prose_lines(".md", "a\n```\nb\n```\nwhat")
    assert (4, "what") in list(prose_lines(".py", 'x = 1\n\ndef f():\n    """what"""\n'))


def test_the_rate_is_per_thousand_words() -> None:
    figures = measure([(1, "what " + "word " * 199)])
    assert (figures.words, figures.per_thousand) == (200, 5.0)
    assert measure([]).per_thousand == 0.0


def test_hidden_folders_and_other_files_are_skipped(tmp_path: Path) -> None:
    for name in ("a.md", ".venv/b.md", "dist/c.py", "d.txt", "sub/e.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("what")
    assert [str(path.relative_to(tmp_path)) for path in find_files([tmp_path])] == ["a.md", "sub/e.sql"]


@pytest.mark.parametrize(
    ("path", "room"),
    [
        ("daemon/jobhooks/engine/running/attempts.py", "daemon/jobhooks/engine"),
        ("daemon/jobhooks/errors.py", "daemon/jobhooks/errors.py"),
        ("docs/how-to/test-a-receiver.md", "docs"),
        ("README.md", "README.md"),
    ],
)
def test_rooms(path: str, room: str) -> None:
    assert room_of(Path(path)) == room
