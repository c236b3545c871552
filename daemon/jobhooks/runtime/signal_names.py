"""The names of signals, for messages about processes that they ended."""

import signal


def signal_name(number: int) -> str:
    """The name of a signal. Real-time signals have none: their number."""
    return next((each.name for each in signal.Signals if each == number), f"signal {number}")
