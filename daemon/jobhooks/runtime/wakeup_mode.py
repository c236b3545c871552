"""How the daemon learns of changes: the setting ``wakeup``, which the engine acts on."""

from enum import StrEnum


class WakeupMode(StrEnum):
    """Gated: writers send a NOTIFY while the daemon sleeps; poll: they never do; always: with each commit."""

    GATED = "gated"
    POLL = "poll"
    ALWAYS = "always"
