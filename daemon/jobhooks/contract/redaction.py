"""Removing secrets before storing: passwords in URLs, headers, and values after a word such as ``password=``.

Text that only looks like a secret is also removed: a shortened log line is a nuisance, a leak is worse.
"""

import re
from typing import NamedTuple

REDACTED = "***"


class Rule(NamedTuple):
    """The form of a secret: ``pattern``, whose first group is kept.

    It matches nothing in a text that has no ``hint`` in lower case.
    """

    hints: tuple[str, ...]
    pattern: re.Pattern[str]


# A text of megabytes must take no longer than reading it a few times, for any content. So a repetition never
# backtracks, or is bounded, or cannot start where another one has already passed.
URL = r"""
    (://[^\s/:@\[]*+:)                                   # ://user:
    (?: [^\s/"'<>]*(?=@)                                 # all up to the last @ before a slash
      | (?!\d{1,5}(?:[/?\#\s"',;)<>]|$)) [^\s<>]{1,100}(?=@)  # whatever it holds, if it is no port
    )
"""
NAME = r"""
    (   (?: password | passwd | passphrase | [_-]pass | \bpass(?==) | pwd | token | credentials?
          | secret (?:[_-]?(?:access[_-]?)?key)? | (?:api|private|access|auth|encryption|signing)[_-]?key
          | session[_-]?id )
        (?: \\{0,3}["']?[\])]? [ \t]{0,10} (?: => | [=:]{1,3} ) [ \t]{0,10} \(?
          | (?<=password) [ \t]{1,10} (?=') )            # alter role app password 'x'
    )
    (?: b? " (?:[^"\\]|\\.)*+ "?
      | b? ' (?:[^'\\]|\\.)*+ '?
      | \\{1,3} ["'] [^"'\\]*+ (?: \\{1,3}["'] )?        # in quotes inside quotes
      | (?: [^\s&,;"')}\]]                               # a bracket or a comma ends it, unless it goes on behind that
          | [,;"')}\]] (?=[^\s&,;"')}\]]) (?![\w.-]{1,40}["']?[=:]) )++
    )
"""
HEADER = r"""
    (authorization \\{0,3}["']?\]? [ \t]{0,10} [=:] [ \t]{0,10} \\{0,3}["']? (?:[\w-]{1,20}[ \t]{1,10})?)
    [^\s"',;\\]++
"""
RULES = (
    Rule(("://",), re.compile(URL, re.VERBOSE)),
    Rule(
        ("pass", "pwd", "token", "credential", "secret", "key", "session"), re.compile(NAME, re.VERBOSE | re.IGNORECASE)
    ),
    Rule(("authorization",), re.compile(HEADER, re.VERBOSE | re.IGNORECASE)),
    Rule(("bearer",), re.compile(r"(\bbearer[ \t]{1,10})(?=[a-z._~+/=-]{0,200}\d)[\w.~+/=-]{8,}+", re.IGNORECASE)),
    Rule(
        ("cookie",), re.compile(r"""(\b(?:set-)?cookie["']?[ \t]{0,10}:[ \t]{0,10}["']?)[^\r\n"']++""", re.IGNORECASE)
    ),
    Rule(("private key-----",), re.compile(r"(PRIVATE KEY-----)(?:(?!-----END).)++", re.DOTALL)),
    # Secrets with a known form: a JSON web token, and keys of services with a fixed prefix.
    Rule(("eyj",), re.compile(r"((?<![\w-])eyJ)[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?")),
    Rule(
        ("ghp_", "gho_", "ghr_", "ghs_", "ghu_", "github_pat_", "k_live_", "glpat-", "xox", "sk-"),
        re.compile(r"((?<![\w-])(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|[rs]k_live_|sk-))[\w-]{16,}+"),
    ),
)
HINTS = tuple(dict.fromkeys(hint for rule in RULES for hint in rule.hints))


def redact(text: str) -> str:
    """Replace everything that looks like a secret in ``text`` by ``***``; keep the words around it."""
    lowered = text.lower()
    for hint in HINTS:
        if hint in lowered:
            return _redacted(text, lowered)
    return text


def _redacted(text: str, lowered: str) -> str:
    for rule in RULES:
        if any(hint in lowered for hint in rule.hints):
            text = rule.pattern.sub(rf"\g<1>{REDACTED}", text)
    return text
