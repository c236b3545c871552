"""Text for a server whose encoding does not have every character."""

import json

import pytest

from jobhooks.contract.log import LogEntry, ReceiverLog
from jobhooks.store.storable_text import storable, storable_json, storable_log

TEXT = "Zürich → 東京"


@pytest.mark.parametrize("text", [None, "", "plain", TEXT])
def test_a_server_with_utf8_stores_every_text_as_it_is(text: str | None) -> None:
    assert storable(text, "UTF8") == text
    assert storable_json(text, "UTF8") == text


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", None])
def test_any_other_server_gets_ascii(encoding: str | None) -> None:
    stored = storable(TEXT, encoding)
    assert stored is not None and stored.isascii() and stored.startswith("Z")
    assert storable("plain", encoding) == "plain"


def test_json_keeps_its_meaning() -> None:
    stored = storable_json(json.dumps({"ü": [TEXT, None]}, ensure_ascii=False), "LATIN1")
    assert stored is not None and stored.isascii()
    assert json.loads(stored) == {"ü": [TEXT, None]}


def test_log_lines_keep_everything_but_their_characters() -> None:
    log = ReceiverLog()
    log.warning(TEXT, "an object of " + TEXT)
    (line,) = storable_log(tuple(log.entries), "LATIN1")
    assert isinstance(line, LogEntry) and line.level == log.entries[0].level
    assert line.message.isascii() and (line.object or "").isascii()
    assert storable_log(tuple(log.entries), "UTF8") == log.entries
