"""The errors of jobhooks. A class's docstring is its default message; the command line exits with its ``exit_code``."""

from typing import ClassVar, Self, cast


class JobhooksError(Exception):
    """An error in jobhooks."""

    exit_code: ClassVar[int] = 1
    default_remedy: ClassVar[str | None] = None

    def __init__(self, message: str | None = None, remedy: str | None = None) -> None:
        """``message``: what failed and why. ``remedy``: a command or an action that helps; ``str()`` joins the two."""
        self.message = message or (self.__doc__ or "").partition("\n")[0]
        self.remedy = remedy or self.default_remedy
        super().__init__(with_remedy(self.message, self.remedy))

    def about(self, where: str) -> Self:
        """The same error, with ``where`` it happened before its message, such as a file."""
        return type(self)(f"{where}: {self.message}", self.remedy)


def with_remedy(message: str, remedy: str | None) -> str:
    """Join a message and its remedy in the form that every error, warning and log line uses."""
    if not remedy:
        return message
    end = "" if message.endswith(("?", "!")) else "."
    return f"{message.removesuffix('.')}{end} Try: {remedy}"


def first_error(exc: BaseException) -> BaseException:
    """The first error in a group and in the groups inside; an error that is no group is itself."""
    while isinstance(exc, BaseExceptionGroup):
        exc = cast("BaseExceptionGroup[BaseException]", exc).exceptions[0]
    return exc


class SettingsError(JobhooksError):
    """A setting is wrong."""

    exit_code = 6


class DatabaseUnreachable(JobhooksError):
    """The database cannot be reached, or the connection to it was lost."""

    exit_code = 3


class LoginRefused(DatabaseUnreachable):
    """The server refuses the database, the role or its password."""


class IsReplica(DatabaseUnreachable):
    """The database is a replica, which nothing can be written to."""


class StatementInterrupted(DatabaseUnreachable):
    """The database did not complete the statement, and may complete it when it runs again."""


class PlanOutdated(DatabaseUnreachable):
    """A table changed after a statement was prepared, so that its connection cannot run it again."""


class SqlMismatch(JobhooksError):
    """The database has no SQL of jobhooks, or that of another version."""

    exit_code = 4


class CopiedDatabase(SqlMismatch):
    """This database was moved, upgraded, restored or copied: its log is that of another server or database."""

    default_remedy = (
        "jobhooks adopt --moved, to go on here, if the original is gone; jobhooks adopt --copy, to start afresh, if it"
        " goes on"
    )


class OtherPlace(CopiedDatabase):
    """The log is that of another place than the daemon was configured to connect to."""


class Refused(JobhooksError):
    """The database refused the request because of its contents."""

    exit_code = 5


class UnwatchableTable(Refused):
    """The table cannot be watched."""


class NotWatched(Refused):
    """The table is not watched."""

    default_remedy = "jobhooks table list"


class UnknownTable(Refused):
    """There is no such table."""


class UnknownJob(Refused):
    """There is no such job."""

    default_remedy = "jobhooks job list"


class UnknownHook(Refused):
    """There is no such hook."""

    default_remedy = "jobhooks hook list"


class UnknownEvent(Refused):
    """There is no such event."""


class HookExists(Refused):
    """There is a hook of that name."""


class HookConflict(Refused):
    """Two hooks would run the same job for the same event of the same table."""


class UnknownColumn(Refused):
    """No table of the hook records this column."""


class JobIsOff(Refused):
    """The hook cannot be enabled: its job is not installed or not enabled."""


class JobInUse(Refused):
    """The job cannot be deleted: it is installed, or hooks use it."""


class InvalidSetting(Refused):
    """The job or hook does not take this setting."""


class InvalidHookFile(Refused):
    """The hook file is not valid."""


class InvalidName(Refused):
    """A name must have 1 to 255 characters."""


class InvalidConditions(Refused):
    """The conditions are not an expression that is true or false."""


class InvalidHookData(Refused):
    """The receiver does not take the data of the hook."""


class NothingToAdopt(Refused):
    """This database was neither moved nor copied."""


class TooFewTransactionIds(Refused):
    """The server has handed out fewer transaction ids than a restored log needs."""


class Forbidden(Refused):
    """The connected database role lacks a privilege."""


class LockNotAvailable(Refused):
    """A lock was not available in time because other sessions use the table; nothing was changed."""

    default_remedy = "the same command again"


class WrongUsage(JobhooksError):
    """The request contradicts itself, or leaves out what it needs."""

    exit_code = 2


class InvalidMoment(WrongUsage):
    """The text is neither a duration nor a time."""


class Unreadable(JobhooksError):
    """The database holds bytes that are not valid text in its encoding."""


class AlreadySettled(JobhooksError):
    """The delivery was already settled by another daemon."""


class LeadsNoMore(JobhooksError):
    """Another daemon leads."""


class TransactionEnded(JobhooksError):
    """The receiver ended its transaction: its writes may be kept although the run failed."""


class MarkRefused(JobhooksError):
    """The connection cannot be marked: it has no open transaction, so its writes would trigger hooks."""

    default_remedy = "begin a transaction on it before self.mark, or write through self.connection"


class StaleObject(JobhooksError):
    """Another session changed or deleted the row after the receiver read it."""


class InvalidReceiver(JobhooksError):
    """The receiver does not follow the rules for receivers."""

    exit_code = 5


class Untrusted(JobhooksError):
    """Other users can write to this file or directory, so nothing in it is run."""

    exit_code = 5


# SQLSTATEs of class JH, which sql/ raises, and those that PostgreSQL raises for a name or a privilege that is wrong.
BY_SQLSTATE: dict[str, type[JobhooksError]] = {
    "JH001": UnwatchableTable,
    "JH002": NotWatched,
    "JH010": AlreadySettled,
    "JH011": TransactionEnded,
    "JH012": LeadsNoMore,
    "JH020": UnknownJob,
    "JH021": UnknownEvent,
    "JH022": NotWatched,
    "JH023": HookExists,
    "JH024": InvalidName,
    "JH025": HookConflict,
    "JH026": UnknownColumn,
    "JH027": JobIsOff,
    "JH028": InvalidSetting,
    "JH029": UnknownHook,
    "JH030": NothingToAdopt,
    "JH031": TooFewTransactionIds,
    "JH032": JobInUse,
    "22021": Unreadable,
    "22P05": Unreadable,
    "3F000": UnknownTable,
    "42P01": UnknownTable,
    "42602": UnknownTable,
    "42601": UnknownTable,
    "0A000": UnknownTable,
    "42501": Forbidden,
    "55P03": LockNotAvailable,
}
