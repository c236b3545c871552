"""Which events are logged, and how. Apart from the other settings, whose library worker processes do not need."""

from enum import StrEnum


class LogLevel(StrEnum):
    """The lowest level of events that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How events are written; auto: console on a terminal, else json."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"
