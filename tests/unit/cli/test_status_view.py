"""The screen of ``jobhooks status``: how long its parts may be. ``test_texts.py`` has the whole of it."""

from jobhooks.cli.show.status import lines, size
from jobhooks.operations.status import Status
from support.statuses import BACKLOGS, PROBLEMS, STATUSES


def text(status: Status) -> dict[str, list[str]]:
    """The lines under their labels."""
    found: dict[str, list[str]] = {}
    last = ""
    for label, line in lines(status):
        last = label or last
        found.setdefault(last, []).append(line.plain)
    return found


def test_only_so_many_hooks_read_alone_on_the_screen() -> None:
    """A name may be long, and a terminal small."""
    status = STATUSES["hooks that read alone"]
    shown = text(status)["behind"]
    assert len(shown) == len(status.lagging_hooks) + 1 and "1" in shown[-1]
    assert "x" * 29 + "..." in shown[2] and "x" * 30 not in shown[2]


def test_a_leader_that_does_not_respond_is_not_shown_as_asleep() -> None:
    assert "asleep" in text(STATUSES["quiet"])["daemon"][0]
    assert "asleep" not in text(STATUSES["a leader that does not respond"])["daemon"][0]


def test_no_daemon_is_shown_with_a_remedy() -> None:
    assert any("jobhooks run" in line for line in text(STATUSES["no daemon"])["daemon"])


def test_a_long_backlog_is_cut() -> None:
    shown = text(STATUSES["a long backlog"])["pending"]
    assert shown[1].split() == ["(gone)", "0", "0", "1", "0", "0", "in", "1h", "0m"]
    assert shown[2].split() == ["hook", "1", "4", "5", "1", "2", "3", "1m", "30s", "late"]
    assert len(shown) == 1 + (len(BACKLOGS) - 1) + 2, "a heading, all but one, and what is left out"


def test_a_narrow_terminal_has_a_line_for_each_hook_instead_of_a_table() -> None:
    """Eight columns and a long name would be cut in the middle of numbers."""
    status = STATUSES["a long backlog"]
    wide = [line.plain for _, line in lines(status, 120)]
    assert wide == [line.plain for _, line in lines(status)]
    narrow = {label: line.plain for label, line in lines(status, 40) if label == "pending"}
    assert narrow == {"pending": "(gone): 1 waiting; oldest due: in 1h 0m"}
    assert "hook 1: 4 running, 5 retrying, 1 waiting, 2 blocked, 3 dead; oldest due: 1m 30s late" in [
        line.plain for _, line in lines(status, 40)
    ]


def test_the_first_problems_have_their_remedies() -> None:
    shown = text(STATUSES["many problems"])["problems"]
    assert PROBLEMS[0].remedy in shown[2]
    assert len(shown) == 11, "their number, and the first five, each with its remedy"


def test_sizes_are_short() -> None:
    assert [size(count) for count in (999, 1000, 12_345, 1_234_567, 5 * 10**12)] == [
        "999 bytes",
        "1.0 kB",
        "12 kB",
        "1.2 MB",
        "5.0 TB",
    ]
