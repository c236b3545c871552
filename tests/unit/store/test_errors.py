"""The form of every error: the failure and its cause, then the remedy."""

import pickle

import pytest

from jobhooks.errors import (
    CopiedDatabase,
    DatabaseUnreachable,
    Forbidden,
    JobhooksError,
    StatementInterrupted,
    UnknownHook,
    UnknownTable,
    with_remedy,
)
from jobhooks.store.connections import ErrorReport, error_of, lost_by


@pytest.mark.parametrize(
    ("message", "remedy", "line"),
    [
        ("it failed", None, "it failed"),
        ("it failed", "again", "it failed. Try: again"),
        ("it failed.", "again", "it failed. Try: again"),
        ("did you mean this?", "again", "did you mean this? Try: again"),
    ],
)
def test_a_remedy_follows_the_message(message: str, remedy: str | None, line: str) -> None:
    assert with_remedy(message, remedy) == line
    assert str(JobhooksError(message, remedy)) == line


def test_a_class_has_a_default_message_and_remedy() -> None:
    assert (UnknownHook().message, UnknownHook().remedy) == (UnknownHook.__doc__, "jobhooks hook list")
    assert (UnknownHook("h").message, UnknownHook("h").remedy) == ("h", "jobhooks hook list")
    assert (CopiedDatabase().remedy or "").startswith("jobhooks adopt")


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    """Pickle calls the class with ``args``, which hold the joined text."""
    error = pickle.loads(pickle.dumps(JobhooksError("it failed", "again")))
    assert (str(error), error.message, error.remedy) == ("it failed. Try: again", "it failed", "again")


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("JH029", UnknownHook),
        ("42P01", UnknownTable),
        ("42501", Forbidden),
        ("57P01", DatabaseUnreachable),
        ("08006", DatabaseUnreachable),
        ("57014", StatementInterrupted),
        ("53200", StatementInterrupted),
        ("40001", StatementInterrupted),
        ("58P01", JobhooksError),
        ("22012", JobhooksError),
    ],
)
def test_an_error_of_the_database_is_ours_by_its_sqlstate(sqlstate: str, kind: type[JobhooksError]) -> None:
    error = error_of(ErrorReport(sqlstate, "it failed"))
    assert type(error) is kind and "it failed" in error.message


def test_an_error_without_a_sqlstate_is_a_lost_connection_if_the_driver_says_so() -> None:
    assert type(error_of(ErrorReport(None, "it failed", connection_failed=True))) is DatabaseUnreachable
    assert type(error_of(ErrorReport(None, "it failed"))) is JobhooksError


def test_what_may_succeed_later_is_retried_like_a_lost_connection() -> None:
    """The daemon begins again after DatabaseUnreachable; a missing library does not mend itself."""
    assert issubclass(StatementInterrupted, DatabaseUnreachable)
    assert not isinstance(error_of(ErrorReport("58P01", "no library")), DatabaseUnreachable)


def test_only_an_error_that_does_not_say_what_failed_is_a_lost_connection() -> None:
    interrupted = error_of(ErrorReport("53200", "out of shared memory"))
    lost = lost_by(interrupted)
    assert (type(lost), str(lost)) == (StatementInterrupted, str(interrupted))
    closed = lost_by(OSError("closed"))
    assert type(closed) is DatabaseUnreachable and "closed" in closed.message
    assert str(lost_by(closed)) == str(closed)
