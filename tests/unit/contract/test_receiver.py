"""A receiver without a database: logging, describing the class, being found."""

import json
import os
import re
from pathlib import Path

import pytest

from jobhooks import Change, JobHookReceiver
from jobhooks.contract.choices import LogLevel, Ordering
from jobhooks.contract.job_settings import FUNCTION
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.meta import read_meta
from jobhooks.contract.run import DeliveryIdentity, Run
from jobhooks.discovery.loading import find_receivers
from jobhooks.errors import InvalidReceiver


def test_log_methods_take_a_message_or_an_object_and_a_message() -> None:
    """All the ways of Nautobot's: a lone string, the object first, and by keyword."""
    receiver = JobHookReceiver(Run(DeliveryIdentity(1, 2, 3), lambda: None))
    receiver.log_debug("one")
    receiver.log_info("device", "two")
    receiver.log_success(message="three")
    receiver.log_warning(obj="device", message="four")
    receiver.log_failure("five")
    receiver.logger.info("six")
    assert [(entry.level, entry.object, entry.message) for entry in receiver.logger.entries] == [
        (LogLevel.DEBUG, None, "one"),
        (LogLevel.INFO, "device", "two"),
        (LogLevel.SUCCESS, None, "three"),
        (LogLevel.WARNING, "device", "four"),
        (LogLevel.FAILURE, None, "five"),
        (LogLevel.INFO, None, "six"),
    ]
    assert receiver.logger.failure_message() == "five"
    assert receiver.idempotency_key == "1:2"


def test_log_lines_hold_only_what_the_database_can_store() -> None:
    """A NUL or half a surrogate pair in a message must not turn a good run into a failure."""
    log = ReceiverLog()
    log.info("a\0b\ud800c")
    assert log.entries[0].message == "a\\0b\\ud800c"


def test_meta_is_by_default_the_class_itself() -> None:
    class Plain(JobHookReceiver):
        """Does nothing.

        At length.
        """

    meta = read_meta(Plain)
    assert (meta.name, meta.description, meta.soft_time_limit, meta.time_limit) == (
        "Plain",
        "Does nothing.",
        None,
        None,
    )


def function_of_nothing() -> float:
    return 1.0


async def function_to_await(failures: int) -> float:
    return float(failures)


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("name", 3),
        ("name", ""),
        ("time_limit", "5"),
        ("time_limit", 0),
        ("time_limit", float("inf")),
        ("time_limit", 10**400),
        ("soft_time_limit", True),
        ("hidden", 1),
        ("is_singleton", "yes"),
        ("has_sensitive_variables", None),
        ("queue", 3),
        ("order_by", "objects"),
        ("order_by", ""),
        ("order_by", []),
        ("order_by", ["serial", 3]),
        ("batch_size", 0),
        ("batch_wait", -1),
        ("backoff", 0),
        ("backoff", []),
        ("backoff", [1, 0]),
        ("backoff", "soon"),
        ("backoff", function_of_nothing),
        ("backoff", function_to_await),
        ("no_retry_on", 5),
        ("no_retry_on", [ValueError, int]),
        ("retry_on", "no name"),
    ],
)
def test_meta_of_the_wrong_type_is_refused_by_class_and_attribute(attribute: str, value: object) -> None:
    meta = type("Meta", (), {attribute: value})
    receiver = type("Wrong", (JobHookReceiver,), {"Meta": meta, "receive_job_hook_batch": print})
    with pytest.raises(InvalidReceiver, match=rf"Wrong\.Meta\.{attribute} must be .*{re.escape(repr(value))}"):
        read_meta(receiver)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("object", Ordering.OBJECT),
        ("table", Ordering.TABLE),
        ("none", Ordering.NONE),
        (["serial", "site"], ("serial", "site")),
        (("serial",), ("serial",)),
        ("serial", ("serial",)),
        (["serial", "serial"], ("serial",)),
        (["tables"], ("tables",)),
    ],
)
def test_meta_says_what_is_in_order(said: object, expected: object) -> None:
    receiver = type("Ordered", (JobHookReceiver,), {"Meta": type("Meta", (), {"order_by": said})})
    meta = read_meta(receiver)
    assert meta.order_by == expected


@pytest.mark.parametrize(
    ("attribute", "said", "expected"),
    [
        ("backoff", 5, 5.0),
        ("backoff", [1, 2.5], (1.0, 2.5)),
        ("backoff", (60,), (60.0,)),
        ("backoff", float, FUNCTION),
        ("backoff", None, 1.0),
        ("retry_on", TypeError, ("TypeError",)),
        ("retry_on", None, ()),
        ("no_retry_on", [ValueError, "requests.HTTPError", ValueError], ("ValueError", "requests.HTTPError")),
        ("no_retry_on", [json.JSONDecodeError], ("json.decoder.JSONDecodeError",)),
    ],
)
def test_meta_says_what_is_tried_again_and_when(attribute: str, said: object, expected: object) -> None:
    receiver = type("Retries", (JobHookReceiver,), {"Meta": type("Meta", (), {attribute: said})})
    assert getattr(read_meta(receiver), attribute) == expected


def test_an_error_is_not_retried_and_not_retried() -> None:
    meta = type("Meta", (), {"retry_on": [ValueError], "no_retry_on": "ValueError"})
    receiver = type("Both", (JobHookReceiver,), {"Meta": meta})
    with pytest.raises(InvalidReceiver, match=r"Both\.Meta has ValueError both in"):
        read_meta(receiver)


def test_meta_of_a_batch_is_for_receivers_that_take_batches() -> None:
    class Batches(JobHookReceiver):
        class Meta:
            batch_wait = 2

        def receive_job_hook_batch(self, changes: list[Change]) -> None:
            pass

    class Single(JobHookReceiver):
        class Meta:
            batch_size = 10

    batches, single = read_meta(Batches), read_meta(Single)
    assert (batches.batch_size, batches.batch_wait, batches.warnings) == (100, 2.0, ())
    assert single.batch_size is None
    assert [warning.partition(" ")[0] for warning in single.warnings] == ["Single.Meta.batch_size"]


@pytest.mark.parametrize("step", ["before_start", "on_success", "on_failure", "after_return", "on_dead"])
def test_a_step_that_nobody_would_await_is_refused_when_it_is_loaded(step: str) -> None:
    """At the end of a failure it would be too late to find out."""

    async def wait(self: object, *_: object) -> None: ...

    async def receive(self: object, change: Change) -> None: ...

    with pytest.raises(InvalidReceiver) as caught:
        read_meta(type("Wrong", (JobHookReceiver,), {step: wait}))
    assert f"Wrong.{step}" in caught.value.message
    read_meta(type("Right", (JobHookReceiver,), {step: wait, "receive_job_hook": receive}))


def test_what_has_no_effect_in_meta_is_warned_of() -> None:
    """Nautobot's attributes that we lack, misspelt names, also in base classes, and a limit that never applies."""

    class Above:
        approval_required = True

    class Odd(JobHookReceiver):
        class Meta(Above):
            max_attemps = 3
            soft_time_limit = 10
            time_limit = 10

    assert [warning.partition(" ")[0].rstrip(":,") for warning in read_meta(Odd).warnings] == [
        "Odd.Meta.approval_required",
        "Odd.Meta.max_attemps",
        "Odd.Meta.soft_time_limit",
    ]


GOOD = "from jobhooks import JobHookReceiver\nclass {0}(JobHookReceiver):\n    pass\n"


def test_receivers_are_found_in_modules_and_packages(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(GOOD.format("First") + GOOD.format("Second"))
    (tmp_path / "json.py").write_text(GOOD.format("Json"))  # hides no other module of that name
    (tmp_path / "_helper.py").write_text("raise RuntimeError('not a receiver module')")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text(GOOD.format("Packed"))
    registry = find_receivers([tmp_path, tmp_path / "missing"])
    assert sorted(registry.receivers) == ["json.Json", "one.First", "one.Second", "package.Packed"]
    assert not registry.broken


def test_a_broken_module_is_reported_by_file_and_line_and_stops_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD.format("Good"))
    (tmp_path / "import_error.py").write_text("import os\nimport there_is_no_such_module\n")
    (tmp_path / "syntax.py").write_text("x = 1\ndef broken(:\n")
    (tmp_path / "exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "wrong_meta.py").write_text(GOOD.format("Wrong").replace("pass", "class Meta:\n        name = 5"))
    registry = find_receivers([tmp_path])
    assert list(registry.receivers) == ["good.Good"]
    reported = {broken.module: (broken.line, broken.error.partition(":")[0]) for broken in registry.broken}
    assert reported == {
        "import_error": (2, "ModuleNotFoundError"),
        "syntax": (2, "SyntaxError"),
        "exits": (1, "SystemExit"),
        "wrong_meta": (2, reported["wrong_meta"][1]),
    }
    assert "Wrong.Meta.name" in reported["wrong_meta"][1]
    assert "syntax.py:2" in registry.why_missing("syntax.Anything")


def test_the_first_of_two_modules_of_a_name_counts(tmp_path: Path) -> None:
    """A user's module takes precedence over one that comes with jobhooks."""
    for place, name in (("mine", "Mine"), ("theirs", "Theirs")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.py").write_text(GOOD.format(name))
    assert list(find_receivers([tmp_path / "mine", tmp_path / "theirs"]).receivers) == ["same.Mine"]


def test_a_receiver_that_is_only_imported_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "validate.py").write_text("from jobhooks import JobHookReceiver\nfrom jobhooks import Change\n")
    assert not find_receivers([tmp_path]).receivers


def test_no_module_however_odd_takes_the_others_down(tmp_path: Path) -> None:
    """A lazy object may raise when asked for its class; a class may have no source; a name may not be a module's."""
    (tmp_path / "good.py").write_text(GOOD.format("Good"))
    (tmp_path / "lazy.py").write_text(
        "from jobhooks import JobHookReceiver\n"
        "class Lazy:\n    @property\n    def __class__(self):\n        raise RuntimeError('not configured')\n"
        "settings = Lazy()\n"
        "Made = type('Made', (JobHookReceiver,), {'Meta': type('Meta', (), {'name': 5})})\n"
    )
    (tmp_path / "a..b.py").write_text(GOOD.format("Odd"))
    (tmp_path / "generator_exit.py").write_text("raise GeneratorExit\n")
    (tmp_path / "surrogate.py").write_text(GOOD.format("S").replace("pass", "class Meta:\n        name = '\\ud800'"))
    registry = find_receivers([tmp_path])
    assert list(registry.receivers) == ["good.Good"]
    assert sorted(broken.module for broken in registry.broken) == ["a..b", "generator_exit", "lazy", "surrogate"]


def test_a_directory_of_someone_elses_is_not_run_because_one_stands_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root, listing jobs in a user's directory, must not run that user's code."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of someone else's")
    theirs = tmp_path / "receivers"
    theirs.mkdir()
    (theirs / "evil.py").write_text(GOOD.format("Evil"))
    os.chown(theirs, 65534, 65534)
    monkeypatch.chdir(tmp_path)
    registry = find_receivers([Path("receivers")])
    assert not registry.receivers and "receivers" in str(registry.broken[0])
    assert list(find_receivers([theirs]).receivers) == ["evil.Evil"]
