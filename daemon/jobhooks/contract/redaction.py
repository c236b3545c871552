"""Leaving secrets out of what is stored: passwords in URLs, and what stands behind a word that announces one."""

import re

REDACTED = "***"

# Possessive throughout, so that a text of megabytes takes no longer than to read it once.
SECRETS = re.compile(
    r"""
    (?P<user>://[^\s:/@]*+:)[^\s@/]++(?=@)                                  # in a URL: user:password@
    | (?P<scheme>\b(?:bearer|basic)\s++)[\w.~+/=-]{8,}+                     # in a header: Bearer ...
    | (?P<name>(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|access[_-]?key)
        ["']?\s{0,10}+[=:]\s{0,10}+)                                        # password=..., "token": ...
        (?:"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|[^\s,;&"')}\]]++)
    """,
    re.IGNORECASE | re.VERBOSE,
)


def redact(text: str) -> str:
    """Return ``text`` with what looks like a secret replaced by ``***``; the words around it stay."""
    return SECRETS.sub(_without_secret, text)


def _without_secret(found: re.Match[str]) -> str:
    return (found["user"] or found["scheme"] or found["name"]) + REDACTED
