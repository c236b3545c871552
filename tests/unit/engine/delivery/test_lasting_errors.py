"""Which errors time does not fix."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from jobhooks.contract.control import Retry
from jobhooks.contract.job_settings import FUNCTION
from jobhooks.engine.delivery.lasting_errors import RetryRules, is_lasting, rules_of
from jobhooks.errors import InvalidReceiver
from support.making import make_delivery, make_hook


class Answer(AttributeError):
    """An error of a receiver."""


class Busy(ConnectionError):
    """An error of a receiver."""


def rules(retry_on: tuple[str, ...] = (), no_retry_on: tuple[str, ...] = ()) -> RetryRules:
    return RetryRules(retry_on, no_retry_on, False, 15, 0, False)


@pytest.mark.parametrize("exc", [TypeError(), NameError(), UnboundLocalError(), ModuleNotFoundError(), Answer()])
def test_faults_of_the_code_last(exc: Exception) -> None:
    assert is_lasting(exc)


@pytest.mark.parametrize("exc", [ValueError(), KeyError(), ConnectionError(), Retry(1), SystemExit(1), MemoryError()])
def test_other_errors_may_pass(exc: BaseException) -> None:
    assert not is_lasting(exc)


@pytest.mark.parametrize(
    ("named", "exc"),
    [
        ("ValueError", UnicodeError()),
        ("json.JSONDecodeError", json.JSONDecodeError("", "", 0)),
        ("json.decoder.JSONDecodeError", json.JSONDecodeError("", "", 0)),
        ("JSONDecodeError", json.JSONDecodeError("", "", 0)),
        ("xml.etree.ElementTree.ParseError", ElementTree.ParseError()),
        (f"{__name__}.Busy", Busy()),
        ("ConnectionError", Busy()),
    ],
)
def test_a_class_is_named_as_it_is_defined_or_imported(named: str, exc: Exception) -> None:
    """``requests.HTTPError`` is defined in ``requests.exceptions``; operators write the name that they read in code."""
    assert is_lasting(exc, rules(no_retry_on=(named,)))


@pytest.mark.parametrize("named", ["no.such.module.Error", "json.NoSuch", "JSONDecode", "decoder.JSONDecodeError"])
def test_a_name_of_nothing_names_nothing(named: str) -> None:
    assert not is_lasting(json.JSONDecodeError("", "", 0), rules(no_retry_on=(named,)))


def test_a_receiver_retries_what_would_last() -> None:
    assert not is_lasting(TypeError(), rules(retry_on=("TypeError",)))
    assert not is_lasting(Answer(), rules(retry_on=("Exception",)))


def test_the_nearest_class_decides() -> None:
    both = rules(retry_on=("Busy",), no_retry_on=("OSError",))
    assert not is_lasting(Busy(), both)
    assert is_lasting(ConnectionResetError(), both)


def test_a_group_lasts_if_each_of_its_errors_does() -> None:
    """A task group of an async def receiver raises one."""
    assert is_lasting(ExceptionGroup("", [TypeError(), ExceptionGroup("", [NameError()])]))
    assert not is_lasting(ExceptionGroup("", [TypeError(), ConnectionError()]))
    assert not is_lasting(ExceptionGroup("", [TypeError()]), rules(retry_on=("TypeError",)))


def test_a_module_that_does_not_import_in_a_worker_counts_by_its_error() -> None:
    missing = InvalidReceiver("r.R cannot be imported in a worker process")
    assert not is_lasting(missing)
    missing.__cause__ = ModuleNotFoundError("requests")
    assert is_lasting(missing)


def test_a_run_costs_nothing_without_rules_of_its_own() -> None:
    assert rules_of(make_delivery(1), calls_on_dead=False) is None
    assert rules_of(make_delivery(1, hook=make_hook(no_retry_on=("ValueError",))), calls_on_dead=False) is not None
    assert rules_of(make_delivery(1, hook=make_hook(backoff=FUNCTION)), calls_on_dead=False) is not None


def test_rules_know_the_last_failure() -> None:
    """As ``next_step`` decides it, later and elsewhere."""
    delivery = make_delivery(1, hook=make_hook(max_attempts=3), failures=1)
    known = rules_of(delivery, calls_on_dead=True)
    assert known is not None and not known.is_last(lasting=True)
    delivery.lasting = True
    known = rules_of(delivery, calls_on_dead=True)
    assert known is not None and known.is_last(lasting=True) and not known.is_last(lasting=False)
    delivery.failures = 2
    known = rules_of(delivery, calls_on_dead=True)
    assert known is not None and known.is_last(lasting=False)
