"""The texts of pure modules and of the settings: which thing, why, and the remedy. Other unit tests assert on data.

The screens of ``jobhooks status`` are in ``texts/status.txt``; ``pytest tests/unit/test_texts.py --write-texts`` writes
them.
"""

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from jobhooks import Discard
from jobhooks.cli.show.output import local
from jobhooks.cli.show.status import lines
from jobhooks.contract.control import SoftTimeLimitExceeded, TimeLimitExceeded
from jobhooks.contract.log import ReceiverLog
from jobhooks.contract.meta import read_meta
from jobhooks.contract.receiver import JobHookReceiver
from jobhooks.discovery.loading import find_receivers
from jobhooks.engine.delivery.outcome import Clock, completed, failed
from jobhooks.engine.running.in_loop.call import RunCancelled
from jobhooks.engine.running.in_process.worker_process import UNKNOWN, how_it_ended
from jobhooks.errors import InvalidConditions, InvalidHookFile, InvalidReceiver, JobhooksError, SettingsError
from jobhooks.matching.conditions import ConditionFailed, Conditions, check_conditions
from jobhooks.operations.configuration import hook_file
from jobhooks.operations.lookup.moments import parse_moment
from jobhooks.operations.lookup.nearest_names import unknown_name
from jobhooks.operations.lookup.object_keys import object_key
from jobhooks.runtime.invalid_values import reason
from jobhooks.runtime.log_format import LogLevel
from jobhooks.runtime.settings import load
from jobhooks.store.connections import ErrorReport, error_of
from support.making import make_change
from support.statuses import NOW as STATUS_TIME, STATUSES

UPDATE = make_change(1, before={"serial": "A-1", "site": None, "price": 7}, after={"serial": "B-2", "price": 7})
NO_ROW = (
    "it asks for a column or key of what has none, such as old where there is no row before, or new where there is none"
    " after"
)
CHANGED = 'changed takes the names of one to eight columns, each in quotes: changed("serial")'
NINE = "[1,1,1,1,1,1,1,1,1].all(x, "


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "invalid conditions: they are empty"),
        ("new.status ==", "invalid conditions, line 1, column 14: it ends too early"),
        ("new.a = 1", 'invalid conditions, line 1, column 7: unexpected "=": equal is written =='),
        ("true and false", 'invalid conditions, line 1, column 6: unexpected "and": and is written &&'),
        ("true OR false", 'invalid conditions, line 1, column 6: unexpected "OR": or is written ||'),
        ('not changed("a")', 'invalid conditions, line 1, column 5: unexpected "changed": not is written !'),
        ("new.a <> 1", 'invalid conditions, line 1, column 8: unexpected ">": not equal is written !='),
        (
            "new.a is null",
            'invalid conditions, line 1, column 7: unexpected "is": whether something is null is asked with == null or'
            " != null",
        ),
        (
            "new.a == NULL",
            "invalid conditions, line 1, column 10: there is no variable NULL: null is written null",
        ),
        (
            'new.a like "x"',
            'invalid conditions, line 1, column 7: unexpected "like": ask with .startsWith("x"), .endsWith("x"),'
            ' .contains("x") or .matches("x.*")',
        ),
        (
            "serial == 1",
            "invalid conditions, line 1, column 1: there is no variable serial: a column is named as new.serial or"
            " old.serial, and a text is in quotes",
        ),
        ("new.a == 1 &&\n  foo(3)", "invalid conditions, line 2, column 6: there is no function foo"),
        ("changed()", f"invalid conditions, line 1, column 8: {CHANGED}"),
        ("changed(new.a, 1)", f"invalid conditions, line 1, column 8: {CHANGED}"),
        (
            "[1].map(x, x) == [1]",
            "invalid conditions, line 1, column 8: map is left out of conditions: ask with exists, all, exists_one or"
            " filter",
        ),
        ("(new.a == 1", "invalid conditions, line 1, column 12: missing ')' at the end"),
        ("new.a == 1)", 'invalid conditions, line 1, column 11: unexpected ")"'),
        ("new.a == 'x", "invalid conditions, line 1, column 10: the text that begins here does not end"),
        ('1 + "a" == 2', "invalid conditions, line 1, column 3: + does not take (int, string)"),
        ("new.a == 'x\0'", "invalid conditions, line 1, column 12: U+0000 is no character of a text"),
        ("'x'", "invalid conditions, line 1, column 1: it is no true or false, but of type string"),
        ("has(new)", "invalid conditions, line 1, column 5: has() argument must be a field selection"),
        (
            "true" + " " * 10_000,
            "invalid conditions: they have 10004 characters, of which 10000 are taken",
        ),
        ("new" + ".a" * 40, "invalid conditions: they are nested deeper than 32 levels"),
        (
            NINE * 4 + "true" + ")" * 4,
            "invalid conditions: they go through lists too often, or ask too much of each element: 934,732 steps, of"
            " which 50,000 are taken",
        ),
    ],
)
def test_invalid_conditions(text: str, line: str) -> None:
    with pytest.raises(InvalidConditions) as caught:
        check_conditions(text)
    assert str(caught.value).partition("\n")[0] == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("new.nothing == 1", 'there is no "nothing"'),
        ('changed("nothing")', 'there is no "nothing"'),
        ("new.serial > 3", "> does not take (string, int)"),
        ("new.price + 0.5 > 1.0", "+ does not take (int, double)"),
        ('old.site.name == "ams"', NO_ROW),
        ('old.site["name"] == "ams"', NO_ROW),
        ("new.price / 0 == 1", "divide by zero"),
        ("new.serial", "they are no true or false, but of type string"),
        ("int(new.serial) == 1", "cannot convert string to int"),
    ],
)
def test_conditions_that_fail(text: str, reason: str) -> None:
    with pytest.raises(ConditionFailed) as caught:
        Conditions(text).hold(UPDATE)
    assert (str(caught.value), caught.value.public) == (reason, reason)


def test_conditions_that_fail_for_want_of_rows() -> None:
    unbuilt = replace(UPDATE, prechange_json=None, postchange_json=None, snapshot_error="value out of range")
    large = make_change(1, before={}, after={"a": list(range(9_000))})
    for text, change, why in (
        ("old == null", unbuilt, "the rows of this change could not be written down"),
        ("new.a.all(x, x in new.a)", large, "the columns hold too much to go through lists"),
    ):
        with pytest.raises(ConditionFailed) as caught:
            Conditions(text).hold(change)
        assert str(caught.value) == why


NOW = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
CALLS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: parse_moment("yesterday", NOW),
        "'yesterday' is neither a duration, such as 90s, 15m, 2h or 7d, nor a time, such as 2026-03-01T08:00",
    ),
    (lambda: object_key(["7", "8"]), "cannot tell the key columns of 7 and 8: write each as COLUMN=VALUE"),
    (lambda: load(Path("none.toml")), "there is no settings file none.toml"),
]


@pytest.mark.parametrize(("call", "text"), CALLS)
def test_errors(call: Callable[[], object], text: str) -> None:
    with pytest.raises(JobhooksError) as caught:
        call()
    assert str(caught.value) == text


def test_a_suggestion_follows_only_if_something_is_near() -> None:
    assert unknown_name("hook", "shuot", ["shout"]) == 'there is no hook "shuot". Did you mean "shout"?'
    assert unknown_name("hook", "x", ["shout"]) == 'there is no hook "x"'


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, "many", '"many" is not a whole number'),
        (int, 1.5, "1.5 is not a whole number"),
        (float, "x", '"x" is not a number'),
        (bool, "maybe", '"maybe" is not true or false'),
        (str, 3, "3 is not a text"),
        (Annotated[int, Field(ge=1)], 0, "0 is not at least 1"),
        (Annotated[int, Field(le=100_000)], 200_000, "200000 is not at most 100000"),
        (Annotated[float, Field(gt=0)], -1.0, "-1.0 is not more than 0.0"),
        (LogLevel, "loud", "\"loud\" is not one of 'debug', 'info', 'warning', 'error'"),
    ],
)
def test_a_reason_names_the_value_and_what_it_should_be(annotation: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(annotation).validate_python(value)
    assert reason(caught.value.errors()[0]) == words


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("page_size = 0", "wrong setting page_size, FILE:1: 0 is not at least 1"),
        ("# first\n\nworkers = 'many'", 'wrong setting workers, FILE:3: "many" is not a whole number'),
        ("databse_url = 'x'", 'there is no setting databse_url, FILE:1. Did you mean "database_url"?'),
        ("[database]\nurl = 'x'", 'there is no setting database, FILE:1. Did you mean "database_url"?'),
        ("zzz = 1", "there is no setting zzz, FILE:1"),
        ("wakeup = 'never'", "wrong setting wakeup, FILE:1: \"never\" is not one of 'gated', 'poll', 'always'"),
    ],
)
def test_a_wrong_settings_file(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file)
    assert str(caught.value).replace(str(file), "FILE") == line


def test_a_wrong_setting_of_the_environment_or_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBHOOKS_WORKERS", "x")
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(caught.value) == 'wrong setting JOBHOOKS_WORKERS in the environment: "x" is not a whole number'
    with pytest.raises(SettingsError) as caught:
        load(workers=0)
    assert str(caught.value) == "wrong setting --workers: 0 is not at least 1"


class Above:
    """Attributes of Nautobot."""

    approval_required = True


class Odd(JobHookReceiver):
    """Attributes without effect."""

    class Meta(Above):
        max_attemps = 3
        soft_time_limit = 10
        time_limit = 10


class Single(JobHookReceiver):
    """Takes one change at a time."""

    class Meta:
        batch_size = 10


def test_attributes_of_meta_without_effect() -> None:
    assert read_meta(Odd).warnings == (
        "Odd.Meta.approval_required has no effect: it is Nautobot's, and has no counterpart in jobhooks",
        'Odd.Meta.max_attemps has no effect. Did you mean "max_attempts"?',
        "Odd.Meta.soft_time_limit has no effect: it is not below time_limit",
    )
    assert read_meta(Single).warnings == (
        "Single.Meta.batch_size has no effect: the class has no receive_job_hook_batch",
    )


def test_a_receiver_with_a_step_that_nothing_would_await() -> None:
    async def wait(self: object, *_: object) -> None: ...

    with pytest.raises(InvalidReceiver) as caught:
        read_meta(type("Wrong", (JobHookReceiver,), {"on_failure": wait}))
    assert str(caught.value) == "Wrong.on_failure must be def, not async def: the receiver is a def one"


GOOD = "from jobhooks import JobHookReceiver\nclass C(JobHookReceiver):\n    pass\n"


def test_why_receivers_are_missing(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "meta.py").write_text(GOOD.replace("pass", "class Meta:\n        name = 5"))
    (tmp_path / "syntax.py").write_text("x = 1\ndef broken(:\n")
    (tmp_path / "open.py").write_text(GOOD)
    (tmp_path / "open.py").chmod(0o666)
    registry = find_receivers([tmp_path])
    told = {broken.module: str(broken).replace(str(tmp_path), "D") for broken in registry.broken}
    told |= {job: registry.why_missing(job).replace(str(tmp_path), "D") for job in ("syntax.C", "good.D", "none.C")}
    syntax = [told.pop(name).partition(": SyntaxError: ")[0] for name in ("syntax", "syntax.C")]
    assert syntax == ["D/syntax.py:2", "the module of syntax.C does not import: D/syntax.py:2"]
    assert told == {
        "meta": "D/meta.py:2: C.Meta.name must be a text, not 5",
        "open": "D/open.py can be written to by everybody (mode 0666), so nothing of it is run."
        " Try: chmod o-w D/open.py",
        "good.D": "there is no receiver good.D: its module has no receiver D",
        "none.C": "there is no receiver none.C: no module none with a receiver in D",
    }


def test_a_discarded_run_of_a_sensitive_receiver() -> None:
    outcome = failed(0.0, Clock(), ReceiverLog(), Discard("secret"), sensitive=True)
    assert outcome.error == "discarded by the receiver"


REPORTS = [
    (ErrorReport("JH029", "no such hook", "jobhooks hook list"), "no such hook. Try: jobhooks hook list"),
    (ErrorReport("42501", "permission denied for table t"), "permission denied for table t"),
    (ErrorReport(None, "closed", connection_failed=True), "lost the connection to the database: closed"),
    (ErrorReport("57P01", "terminating"), "lost the connection to the database: terminating"),
    (ErrorReport("40001", "could not serialize"), "the database did not complete the statement: could not serialize"),
    (
        ErrorReport("57014", "canceling"),
        "the database did not complete the statement: canceling. Try: a larger statement_timeout in PGOPTIONS or"
        " database_url, if one is set there",
    ),
    (
        ErrorReport("53200", "out of shared memory", "You might need to increase it."),
        "the database did not complete the statement: out of shared memory. Try: a larger max_locks_per_transaction or"
        " more memory for the server",
    ),
    (
        ErrorReport("58P01", 'could not access file "plpgsql"'),
        'the database failed: could not access file "plpgsql". Try: ask the server\'s administrator: a file of'
        " PostgreSQL's installation is missing",
    ),
    (ErrorReport("22012", "division by zero", "Do not."), "the database failed: division by zero. Do not."),
]


@pytest.mark.parametrize(("report", "text"), REPORTS)
def test_errors_of_the_database(report: ErrorReport, text: str) -> None:
    assert str(error_of(report)) == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "it cannot be written as JSON: Encoding objects of type object is unsupported"),
        ("x" * 100_000, "as JSON it has 100002 bytes, and at most 100000 are kept"),
    ],
)
def test_what_was_returned_and_is_not_stored(value: object, why: str) -> None:
    (line,) = completed(0.0, Clock(), ReceiverLog(), value).log
    assert (line.object, line.message) == ("what was returned is not stored", why)


def test_errors_of_runs() -> None:
    assert str(SoftTimeLimitExceeded(0.3)) == "the receiver ran for its soft time limit of 0.3 seconds"
    assert str(TimeLimitExceeded(1)) == "the receiver was ended at its time limit of 1 seconds"
    assert str(RunCancelled()) == "the receiver cancelled its own task, or raised CancelledError"


HOOK = 'name = "h"\ncontent_types = ["t"]\njob = "a.B"\nevents = ["update"]\n'


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "hook = 1\n",
            "cannot use hook: each hook begins with a line [[hook]], each table with a line [[table]]",
        ),
        ('[[hook]]\nname = "h"\n', 'hook "h": it has no `content_types`'),
        ("[[hook]]\njob = 'a.B'\n", "hook number 1: it has no `name`"),
        (f"[[hook]]\n{HOOK}\n[[hook]]\n{HOOK}", 'there are two hooks "h"'),
        (f"[[hook]]\n{HOOK}event = 'x'\n", 'hook "h": it cannot have `event`'),
        (f"[[hook]]\n{HOOK}enabled = 'no'\n", 'hook "h": enabled: expected `bool`, got `str`'),
        (
            f"[[hook]]\n{HOOK}coalesce = 'always'\n",
            'hook "h": coalesce: must be "transaction", "request" or a number of seconds, more than 0 and at most'
            " 86400",
        ),
    ],
)
def test_a_wrong_hook_file(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "hooks.toml"
    file.write_text(text)
    with pytest.raises(InvalidHookFile) as caught:
        hook_file.read(file)
    assert str(caught.value).partition(". Try: ")[0].removeprefix(f"{file}: ") == line


def test_the_screens_of_a_status(pytestconfig: pytest.Config) -> None:
    file = Path(__file__).with_name("texts") / "status.txt"
    found: list[str] = []
    for name, status in STATUSES.items():
        found += [f"-- {name}", *(f"{label:<11}{line.plain}".rstrip() for label, line in lines(status)), ""]
    text = "\n".join(found).replace(local(STATUS_TIME), "TIME")
    if pytestconfig.option.write_texts:
        file.write_text(text)
        return
    assert text.splitlines() == file.read_text().splitlines()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0, "the worker process ended with exit code 0 while it ran"),
        (-9, "the worker process was ended by SIGKILL while it ran"),
        (-35, "the worker process was ended by signal 35 while it ran"),
        (UNKNOWN, "the worker process ended while it ran"),
    ],
)
def test_the_end_of_a_worker_process(code: int, text: str) -> None:
    assert how_it_ended(code, "while it ran") == text
