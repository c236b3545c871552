"""Making any text storable in a database whose encoding is not UTF-8."""

import json
from dataclasses import replace

from jobhooks.contract.log import LogEntry


def storable(text: str | None, server_encoding: str | None) -> str | None:
    """Escape characters that the server's encoding may lack."""
    if text is None or server_encoding == "UTF8":
        return text
    return text.encode("ascii", "backslashreplace").decode()


def storable_json(text: str | None, server_encoding: str | None) -> str | None:
    """The same for JSON, which stays equal: other characters become ``\\u`` escapes."""
    if text is None or server_encoding == "UTF8" or text.isascii():
        return text
    return json.dumps(json.loads(text))


def storable_log(log: tuple[LogEntry, ...], server_encoding: str | None) -> list[LogEntry]:
    """The same for log lines."""
    if server_encoding == "UTF8":
        return list(log)
    return [
        replace(
            entry,
            object=storable(entry.object, server_encoding),
            message=storable(entry.message, server_encoding) or "",
            grouping=storable(entry.grouping, server_encoding),
            source=storable(entry.source, server_encoding),
        )
        for entry in log
    ]
