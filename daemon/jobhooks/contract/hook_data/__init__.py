"""A receiver's ``class Data``: the data that a hook passes to it. Checked when the hook is saved, read in a run."""

import dataclasses
import difflib
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

import msgspec

from jobhooks.contract.log import clean_text
from jobhooks.errors import InvalidHookData, InvalidReceiver

LONGEST_REASON = 1_000  # characters
HOW = "a class with annotated fields, such as channel: str, a dataclass, a TypedDict or a msgspec.Struct"


class DataType:
    """A ``class Data``, and how JSON becomes an object of it. ``schema``: its JSON Schema."""

    def __init__(self, type_: type[Any], name: str) -> None:
        self.name = name
        try:
            made = _made_readable(type_, name)
            self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(made)
            self._keys: list[str] = [item.encode_name for item in msgspec.inspect.type_info(made).fields]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - all that are allowed have fields
            self.schema: dict[str, Any] = msgspec.json.schema(made)
        except InvalidReceiver:
            raise
        except Exception as exc:
            raise InvalidReceiver(f"{name} cannot be read from JSON: {_one_line(exc)}") from exc
        if not self._keys:
            raise InvalidReceiver(f"{name} has no fields: it must be {HOW}")

    def read(self, data_json: str) -> Any:
        """Make the object of a hook's data.

        Raises:
            InvalidHookData: the class does not take them; the message says which key is wrong.
        """
        for key in msgspec.json.decode(data_json, type=dict[str, msgspec.Raw]):
            if key not in self._keys:
                near = difflib.get_close_matches(key, self._keys, 1)
                suggestion = f'. Did you mean "{near[0]}"?' if near else f"; it has {', '.join(self._keys)}"
                raise InvalidHookData(f'{self.name} has no "{key}"{suggestion}')
        try:
            return self._decoder.decode(data_json)
        except msgspec.ValidationError as exc:
            raise InvalidHookData(f"{self.name} {_in_words(clean_text(exc, LONGEST_REASON))}") from exc
        except KeyboardInterrupt:
            raise
        except BaseException as exc:  # the author's code may raise anything, and must not end the daemon
            raise InvalidHookData(f"{self.name} does not take the data: {_one_line(exc)}") from exc

    def error(self, data_json: str) -> str | None:
        """Why the class does not take the data; null: it does."""
        try:
            self.read(data_json)
        except InvalidHookData as exc:
            return exc.message
        return None


def data_type_of(receiver: type[Any]) -> DataType | None:
    """The ``class Data`` of a receiver; null if it has no such class.

    Raises:
        InvalidReceiver: the class cannot be read from JSON.
    """
    if receiver not in _known:
        type_: object = getattr(receiver, "Data", None)
        name = f"{receiver.__name__}.Data"
        if type_ is not None and not isinstance(type_, type):
            raise InvalidReceiver(f"{name} must be {HOW}, not {type_!r}")
        _known[receiver] = None if type_ is None else DataType(type_, name)
    return _known[receiver]


def read_data(receiver: type[Any], data_json: str) -> Any:
    """A hook's data as its receiver gets them: an object of its ``class Data``, or without one a dict.

    Raises:
        InvalidHookData: the class does not take them.
    """
    type_ = data_type_of(receiver)
    return msgspec.json.decode(data_json or "{}") if type_ is None else type_.read(data_json or "{}")


def normalized(data: Mapping[str, Any]) -> dict[str, Any]:
    """Data as they come back from the database: a date of TOML is a text.

    Raises:
        InvalidHookData: they are no JSON, or JSON that the database cannot store.
    """
    try:
        if any("\0" in text for text in _texts(data)):
            raise ValueError("NUL is no character of a text")
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, default=_plain)
        return msgspec.json.decode(text.encode())
    except (TypeError, ValueError, RecursionError, msgspec.DecodeError) as exc:
        raise InvalidHookData(f"the data are no JSON: {_one_line(exc)}") from exc


def _texts(value: object) -> Iterator[str]:
    """All keys and texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in cast("dict[str, object]", value).items():
            yield key
            yield from _texts(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from _texts(item)


def _plain(value: object) -> str:
    """A date or a time of TOML, as text."""
    if hasattr(value, "isoformat"):
        return value.isoformat()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - it has it
    raise TypeError(f"{type(value).__name__} is no JSON")


def _made_readable(type_: type[Any], name: str) -> type[Any]:
    """The class, which becomes a dataclass if it is a plain one; its plain bases become dataclasses as well."""
    if issubclass(type_, msgspec.Struct) or typing.is_typeddict(type_) or hasattr(type_, "__attrs_attrs__"):
        return type_
    if type(type_) is not type:
        raise InvalidReceiver(f"{name} must be {HOW}, not a {type(type_).__name__}")
    for each in reversed(type_.__mro__[:-1]):
        if "__dataclass_fields__" not in vars(each):
            dataclasses.dataclass(kw_only=True)(each)
    return type_


def _in_words(error: str) -> str:
    """The message of msgspec: "Expected `int`, got `str` - at `$.limit`"."""
    problem, _, where = error.partition(" - at `$")
    key = where.rstrip("`").removeprefix(".")
    if problem.startswith("Object missing required field"):
        problem = f"needs {problem.partition('`')[2].rstrip('`')}"
        return f"{problem} in {key}" if key else problem
    problem = problem[:1].lower() + problem[1:].replace("`", "")
    if problem in ("expected str, got int", "expected str, got float", "expected str, got bool"):
        problem += ", since a text that looks like JSON needs double quotes"
    return f"does not take {key}: {problem}" if key else f"does not take the data: {problem}"


def _one_line(exc: BaseException) -> str:
    text = " ".join(clean_text(exc, LONGEST_REASON).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


_known: "WeakKeyDictionary[type[Any], DataType | None]" = WeakKeyDictionary()
