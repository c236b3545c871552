"""For Django: changes have the user and the id of the request, and a receiver can write with the ORM.

It imports Django and the standard library alone, so a project without jobhooks can have a copy of it.
"""

import contextlib
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.backends.postgresql.psycopg_any import is_psycopg3
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

Who = Callable[[], tuple[str, str]]

SETTINGS = "select set_config('jobhooks.user_name', %s, true), set_config('jobhooks.request_id', %s, true)"
COMMENTS = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
WRITES = re.compile(rf"{COMMENTS}(?:insert|update|delete|merge|truncate|with|copy)\b", re.IGNORECASE | re.DOTALL)
# Procedures can commit, unless a statement is before them in the same message.
CALLS = re.compile(rf"{COMMENTS}(?:call|do)\b", re.IGNORECASE | re.DOTALL)

_who: ContextVar[Who | None] = ContextVar("jobhooks_who", default=None)


class _Receiver(Protocol):
    def mark(self, connection: Any, /) -> Any: ...


class SayWhoWrites:
    """Middleware: changes of a request have its user and its id. Put it below ``AuthenticationMiddleware``.

    A subclass can override ``user_name`` and ``request_id``.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated] - asyncio's, until 3.12
        if self._is_async:
            markcoroutinefunction(self)
        watch_connections()

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Handle a request."""
        request_id = self.request_id(request)

        def who() -> tuple[str, str]:
            return self.user_name(request), request_id

        return self._respond_async(request, who) if self._is_async else self._respond(request, who)

    def user_name(self, request: HttpRequest) -> str:
        """The name of the user, or an empty text. Called for each statement that writes."""
        user = getattr(request, "user", None)
        return "" if user is None else user.get_username()

    def request_id(self, request: HttpRequest) -> str:
        """The header ``X-Request-ID``, which a client can set unless a proxy does; otherwise a new id."""
        return request.headers.get("X-Request-ID") or str(uuid.uuid4())

    def _respond(self, request: HttpRequest, who: Who) -> HttpResponseBase:
        with _said_by(who):
            return _streaming(self._get_response(request), who)

    async def _respond_async(self, request: HttpRequest, who: Who) -> HttpResponseBase:
        with _said_by(who):
            return _streaming(await self._get_response(request), who)


@contextlib.contextmanager
def who_writes(user_name: str, request_id: str = "") -> Generator[None]:
    """Give this user and request to the changes inside: for management commands and tasks."""
    watch_connections()
    with _said_by(lambda: (user_name, request_id)):
        yield


@contextlib.contextmanager
def marked(receiver: _Receiver, using: str = DEFAULT_DB_ALIAS) -> Generator[None]:
    """Open a transaction of a Django database whose writes trigger no hook: ``with marked(self): device.save()``.

    Raises:
        MarkRefused: the role of the database may not mark its writes.
    """
    connection = connections[using]
    connection.close_if_unusable_or_obsolete()  # Django does so before a request, and a receiver has none
    with transaction.atomic(using):
        receiver.mark(connection)
        yield


def watch_connections() -> None:
    """Have all connections of this thread, and new ones of all threads, say who writes."""
    connection_created.connect(_watch, dispatch_uid=__name__)
    for connection in connections.all(initialized_only=True):
        _watch(connection)


def _watch(connection: Any, **_signal: Any) -> None:
    if connection.vendor == "postgresql" and _execute not in connection.execute_wrappers:
        connection.execute_wrappers.append(_execute)


def _execute(execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:  # noqa: FBT001, RUF100
    """Send the settings and a statement that writes as one message, which the server runs as one transaction."""
    who, connection, cursor = _who.get(), context["connection"], context["cursor"]
    if who is None:
        return execute(statement, params, many, context)
    text = statement.as_string(connection.connection) if hasattr(statement, "as_string") else statement
    is_outside = connection.get_autocommit()
    writes = isinstance(text, str) and (WRITES.match(text) or (CALLS.match(text) and not is_outside))
    if not writes or getattr(cursor, "name", None):  # a cursor of the server only reads
        return execute(statement, params, many, context)
    with _said_by(None):  # to find the user, Django may delete a session that has ended
        values = who()
    if many or isinstance(params, Mapping) or connection.settings_dict["OPTIONS"].get("server_side_binding"):
        with transaction.atomic(connection.alias) if is_outside else contextlib.nullcontext():
            connection.cursor().execute(SETTINGS, values)
            return execute(statement, params, many, context)
    if params is None:  # then a percent sign in the statement is one
        text = text.replace("%", "%%")
    result = execute(f"{SETTINGS}; {text}", [*values, *(params or ())], many, context)
    if is_psycopg3:  # it begins with the first result, psycopg2 with the last
        cursor.nextset()
    return result


@contextlib.contextmanager
def _said_by(who: Who | None) -> Generator[None]:
    token = _who.set(who)
    try:
        yield
    finally:
        _who.reset(token)


def _streaming(response: HttpResponseBase, who: Who) -> HttpResponseBase:
    """The response, whose content is made after the middleware has returned; that of a file is not touched."""
    if isinstance(response, StreamingHttpResponse) and getattr(response, "file_to_stream", None) is None:
        content: Any = response.streaming_content
        response.streaming_content = _each_async(content, who) if response.is_async else _each(content, who)
    return response


def _each(content: Iterator[bytes], who: Who) -> Iterator[bytes]:
    while True:
        with _said_by(who):
            part = next(content, None)
        if part is None:
            return
        yield part


async def _each_async(content: AsyncIterator[bytes], who: Who) -> AsyncIterator[bytes]:
    while True:
        with _said_by(who):
            part = await anext(content, None)
        if part is None:
            return
        yield part
