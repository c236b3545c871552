"""The screen of ``jobhooks status``, for states that are hard to bring about."""

import datetime
from dataclasses import replace

from jobhooks.cli.show.output import local
from jobhooks.cli.show.status import lines, size
from jobhooks.operations.doctor import Problem
from jobhooks.operations.status import DaemonSession, Extent, HookBacklog, LaggingHook, LastHour, Leader, Status, Unread

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LEADER = Leader(7, "jobhooks", "jobhooks", "local socket", NOW, NOW, asleep=True, silent_for_s=0.5, responds=True)
QUIET = Status(
    version="1.2.3",
    time=NOW,
    database="inventory",
    host="db",
    server_version="18.0",
    role="viewer",
    leader=LEADER,
    lock_holder=None,
    standbys=[],
    unread=Unread(0, None, None),
    lagging_hooks=[],
    deliveries=[],
    deliveries_complete=True,
    last_hour=LastHour(NOW, 0, 0, 0, 0, 0.0, 0.0, None, None),
    log=Extent(1, 8192, 0, None, None, None, 8192),
    retention_days=30.0,
    problems=[],
)


def text(status: Status) -> dict[str, str]:
    """The lines under their labels."""
    found: dict[str, str] = {}
    last = ""
    for label, line in lines(status):
        last = label or last
        found[last] = f"{found[last]}\n{line.plain}" if last in found else line.plain
    return found


def test_a_quiet_installation() -> None:
    shown = text(QUIET)
    assert "asleep: writers wake it" in shown["daemon"] and "leads since" in shown["daemon"]
    assert (shown["behind"], shown["pending"], shown["last hour"]) == ("0 changes unread", "nothing", "no results")
    assert shown["problems"] == "none"
    assert shown["log"] == "8.2 kB in 1 segment: about 0 changes; results 8.2 kB; kept for 30 days"


def test_hooks_that_read_alone_are_below_what_the_others_have_not_read() -> None:
    """Only so many: a name may be long, and a terminal small."""
    paused = LaggingHook("Check serials", True, 0, None, None, 0, 0)
    slow = LaggingHook("x" * 50, False, 1234, NOW, 312.0, 5000, 2_400_000)
    shown = text(replace(QUIET, lagging_hooks=[paused, slow, *[paused] * 7]))["behind"].splitlines()
    assert shown[:3] == [
        "0 changes unread",
        'hook "Check serials", paused: 0 changes unread',
        f'hook "{"x" * 29}...": about 1234 changes of its tables unread, the oldest for 5m 12s;'
        " holds 2.4 MB of the log",
    ]
    assert len(shown) == 10 and shown[-1] == "and 1 more hook read alone"


def test_a_leader_that_does_not_respond_is_not_shown_as_asleep() -> None:
    stopped = replace(LEADER, silent_for_s=42.0, responds=False)
    shown = text(replace(QUIET, leader=stopped))["daemon"]
    assert shown.startswith("does not respond, silent for 42s: nothing is delivered")
    assert "asleep" not in shown


def test_a_program_that_holds_the_lock_is_named_with_a_remedy() -> None:
    squatter = DaemonSession(28538, "hr_app", "", "10.0.0.7", NOW)
    shown = text(replace(QUIET, leader=None, lock_holder=squatter))["daemon"]
    assert "another program holds the leader's lock" in shown
    assert "session 28538" in shown and "of hr_app from 10.0.0.7" in shown
    assert "Try: select pg_terminate_backend(28538)" in shown


def test_no_daemon_is_shown_with_a_remedy() -> None:
    assert "Try: jobhooks run" in text(replace(QUIET, leader=None))["daemon"]


def test_unread_changes_have_an_age() -> None:
    behind = replace(QUIET, unread=Unread(2, NOW, 7.04))
    assert text(behind)["behind"] == "about 2 changes unread, the oldest for 7.0s"


def test_a_long_backlog_is_cut() -> None:
    backlogs = [HookBacklog(f"hook {number}", 1, 2, 3, NOW, -90.0) for number in range(9)]
    backlogs[0] = HookBacklog(None, 1, 0, 0, NOW, 3600.0)
    shown = text(replace(QUIET, deliveries=backlogs, deliveries_complete=False))["pending"].splitlines()
    assert shown[1].split() == ["(gone)", "1", "0", "0", "in", "1h", "0m"]
    assert shown[2].split() == ["hook", "1", "1", "2", "3", "1m", "30s", "late"]
    assert shown[-2:] == ["and for 1 more hook", "and more: not all were counted"]


def test_problems_are_counted_and_the_first_have_their_remedies() -> None:
    problems = [Problem("error", "hook a", "is broken", "jobhooks hook show a")] * 2 + [
        Problem("note", f"hook {number}", "is odd", "look at it") for number in range(5)
    ]
    shown = text(replace(QUIET, problems=problems))["problems"].splitlines()
    assert shown[:3] == [
        "2 errors, 5 notes. Try: jobhooks doctor",
        "error: hook a: is broken",
        "Try: jobhooks hook show a",
    ]
    assert len(shown) == 11, "the first five, each with its remedy"


def test_sizes_are_short() -> None:
    assert [size(count) for count in (999, 1000, 12_345, 1_234_567, 5 * 10**12)] == [
        "999 bytes",
        "1.0 kB",
        "12 kB",
        "1.2 MB",
        "5.0 TB",
    ]


def test_a_viewer_sees_no_address_of_the_leader() -> None:
    """It takes pg_read_all_stats."""
    hidden = replace(LEADER, application_name="", client=None, since=None)
    since = local(NOW)
    assert text(replace(QUIET, leader=hidden))["daemon"] == (
        f"leads since {since}, asleep: writers wake it; session 7 of jobhooks"
    )
