"""States of an installation that are hard to bring about."""

import datetime
from dataclasses import replace

from jobhooks.operations.doctor import Problem
from jobhooks.operations.status import Extent, HeldUp, HookBacklog, LaggingHook, LastHour, Leader, Status, Unread

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
    standbys=[],
    unread=Unread(0, None, None),
    lagging_hooks=[],
    deliveries=[],
    deliveries_complete=True,
    held_up=[],
    last_hour=LastHour(NOW, 0, 0, 0, 0, 0.0, 0.0, None, None),
    log=Extent(1, 8192, 0, None, None, None, 8192),
    retention_days=30.0,
    problems=[],
)
PAUSED = LaggingHook("Check serials", True, 0, None, None, 0, 0)
SLOW = LaggingHook("x" * 50, False, 1234, NOW, 312.0, 5000, 2_400_000)
BACKLOGS = [
    HookBacklog(None, 0, 0, 0, 1, 0, 0, 0, NOW, 3600.0, None),
    *(HookBacklog(f"hook {number}", 4, 0, 5, 1, 0, 2, 3, NOW, -90.0, None) for number in range(1, 9)),
]
PROBLEMS = [
    *[Problem("error", "hook a", "is broken", "jobhooks hook show a")] * 2,
    *(Problem("note", f"hook {number}", "is odd", "look at it") for number in range(5)),
]
STATUSES = {
    "quiet": QUIET,
    "hooks that read alone": replace(QUIET, lagging_hooks=[PAUSED, SLOW, *[PAUSED] * 7]),
    "a leader that does not respond": replace(QUIET, leader=replace(LEADER, silent_for_s=42.0, responds=False)),
    "no daemon": replace(QUIET, leader=None),
    "unread changes": replace(QUIET, unread=Unread(2, NOW, 7.04)),
    "a long backlog": replace(QUIET, deliveries=BACKLOGS, deliveries_complete=False),
    "deliveries that wait, and are not late": replace(
        QUIET,
        deliveries=[
            HookBacklog("debounced", 0, 0, 0, 2, 0, 1, 0, NOW, 4.0, "debounce"),
            HookBacklog("limited", 0, 0, 0, 2, 0, 0, 0, NOW, 60.0, "rate"),
            HookBacklog("limited per key", 0, 0, 0, 2, 0, 0, 0, None, None, "rate"),
            HookBacklog("off", 0, 0, 0, 1, 0, 0, 0, None, None, "hook"),
            HookBacklog("failed", 0, 0, 1, 0, 0, 0, 0, NOW, 8.0, "retry"),
        ],
    ),
    "objects blocked behind dead deliveries": replace(
        QUIET,
        deliveries=[HookBacklog("Bob's", 0, 0, 0, 0, 0, 14, 2, None, None, None)],
        held_up=[HeldUp("Bob's", 2, 14, 3, 7), HeldUp("lets pass", 1, 0, 0, 9), HeldUp(None, 1, 1, 1, 5)],
    ),
    "many problems": replace(QUIET, problems=PROBLEMS),
    "a viewer, who sees no address of the leader": replace(
        QUIET, leader=replace(LEADER, application_name="", client=None, since=None)
    ),
}
