"""The class Data of a receiver: the classes that it can be, the data that it takes, and the reasons for a refusal."""

import asyncio
import dataclasses
import datetime
import enum
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pytest

from jobhooks import JobHookReceiver
from jobhooks.contract.hook_data import data_type_of, normalized, read_data
from jobhooks.contract.meta import read_meta
from jobhooks.contract.run import DeliveryIdentity, Run
from jobhooks.errors import InvalidHookData, InvalidReceiver


class Tells(JobHookReceiver):
    class Data:
        channel: str
        limit: int = 10
        levels: list[Literal["low", "high"]] = dataclasses.field(default_factory=list[Any])

        def __post_init__(self) -> None:
            if self.limit < 0:
                raise ValueError("limit is below 0")
            self.address = f"#{self.channel}"


class TellsMore(Tells):
    class Data(Tells.Data):
        since: datetime.date | None = None


class AsDataclass(JobHookReceiver):
    @dataclasses.dataclass(frozen=True)
    class Data:
        channel: str


class AsStruct(JobHookReceiver):
    class Data(msgspec.Struct, rename="camel"):
        the_channel: Annotated[str, msgspec.Meta(max_length=5)]


class AsTypedDict(JobHookReceiver):
    class Data(TypedDict):
        channel: str


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Raises(JobHookReceiver):
    class Data:
        how: str

        def __post_init__(self) -> None:
            match self.how:
                case "exit":
                    raise SystemExit(3)
                case "cancel":
                    raise asyncio.CancelledError
                case "unprintable":
                    raise Unprintable
                case "bytes":
                    raise ValueError("a\0b\ud800")
                case _:
                    raise KeyError("long" * 1_000_000)


class Takes(JobHookReceiver):
    """Without a class."""


def error(receiver: type[Any], data_json: str) -> str:
    with pytest.raises(InvalidHookData) as caught:
        read_data(receiver, data_json)
    return caught.value.message


def test_a_plain_class_with_annotations_is_enough() -> None:
    data = read_data(Tells, '{"channel": "ops", "levels": ["low"]}')
    assert (type(data), data.channel, data.limit, data.levels) == (Tells.Data, "ops", 10, ["low"])
    assert data.address == "#ops", "with its methods"
    more = read_data(TellsMore, '{"channel": "ops", "since": "2026-12-01"}')
    assert (more.channel, more.limit, more.since) == ("ops", 10, datetime.date(2026, 12, 1))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("exit", "SystemExit: 3"),
        ("cancel", "CancelledError"),
        ("unprintable", "Unprintable: <Unprintable whose __str__ raises RuntimeError>"),
        ("bytes", r"a\0b\ud800"),
    ],
)
def test_whatever_the_class_raises_is_a_reason(how: str, reason: str) -> None:
    """The daemon also checks data: it must not end. PostgreSQL stores the reason."""
    assert error(Raises, f'{{"how": "{how}"}}') == f"Raises.Data does not take the data: {reason}"


def test_a_long_reason_is_cut() -> None:
    assert len(error(Raises, '{"how": "long"}')) < 2000


def test_other_classes_that_have_fields() -> None:
    assert read_data(AsDataclass, '{"channel": "ops"}') == AsDataclass.Data("ops")
    assert read_data(AsStruct, '{"theChannel": "ops"}').the_channel == "ops"
    assert read_data(AsTypedDict, '{"channel": "ops"}') == {"channel": "ops"}


def test_without_a_class_data_are_a_dict() -> None:
    assert read_data(Takes, "") == {}
    assert read_data(Takes, '{"any": [1, null]}') == {"any": [1, None]}
    assert data_type_of(Takes) is None


@pytest.mark.parametrize(
    ("receiver", "data_json", "words"),
    [
        (Tells, "{}", "Tells.Data needs channel"),
        (
            Tells,
            '{"channel": 1}',
            "channel: expected str, got int, since a text that looks like JSON needs double quotes",
        ),
        (Tells, '{"channel": "a", "limit": "10"}', "limit: expected int, got str"),
        (Tells, '{"channel": "a", "limit_": 10}', 'has no "limit_". Did you mean "limit"?'),
        (Tells, '{"channel": "a", "zzz": 10}', "it has channel, limit, levels"),
        (Tells, '{"channel": "a", "limit": -1}', "limit is below 0"),
        (Tells, '{"channel": "a", "levels": ["low", "no"]}', "levels[1]"),
        (TellsMore, '{"channel": "a", "since": "yesterday"}', "since"),
        (AsStruct, '{"the_channel": "ops"}', 'Did you mean "theChannel"?'),
        (AsStruct, '{"theChannel": "too long"}', "theChannel: expected str of length <= 5"),
        (AsTypedDict, "{}", "needs channel"),
    ],
)
def test_what_is_not_taken_and_why(receiver: type[Any], data_json: str, words: str) -> None:
    assert words in error(receiver, data_json)


class Plain(enum.Enum):
    ONE = 1


@pytest.mark.parametrize(
    "wrong",
    [
        "text",
        {"channel": str},
        Plain,
        type("Data", (), {"channel": "no annotation"}),
        type("Data", (), {"__annotations__": {"of": "NoSuchType"}}),
        type("Data", (), {"__annotations__": {"of": list[str]}, "of": []}),
        type("Data", (), {"__annotations__": {"of": complex | None}}),
    ],
)
def test_a_class_that_cannot_be_read_from_json_is_reported_when_the_receiver_is_loaded(wrong: object) -> None:
    receiver = type("R", (JobHookReceiver,), {"Data": wrong})
    with pytest.raises(InvalidReceiver, match=r"R\.Data"):
        read_meta(receiver)


def test_a_run_has_the_hooks_data_each_time_anew() -> None:
    """A receiver that changes its data changes nothing for the next run."""
    receiver = Tells(
        Run(DeliveryIdentity(1, 7, 1), lambda: None, hook_name="h", hook_data='{"channel": "ops"}')  # pyright: ignore[reportArgumentType] - it is not used
    )
    hook = receiver.hook
    assert (hook.id, hook.name) == (7, "h") and tuple(hook) == (7, "h") and hook == (7, "h")
    hook.data.levels.append("low")
    assert hook.data.levels == [] and receiver.hook.data.channel == "ops"


def test_data_are_made_what_the_database_gives_back() -> None:
    given = {"when": datetime.date(2026, 12, 1), "big": 10**30, "plain": [1, 1.5, None, {"a": "\\u0000"}]}
    assert normalized(given) == {"when": "2026-12-01", "big": 10**30, "plain": [1, 1.5, None, {"a": "\\u0000"}]}
    for wrong in ({"a": "\0"}, {"a": ["\ud800"]}, {"\0": 1}, {"a": float("nan")}, {"a": object()}):
        with pytest.raises(InvalidHookData):
            normalized(wrong)
