"""Removing secrets before storing: passwords in URLs, headers, and values after a word such as ``password=``.

Text that only looks like a secret is also removed: a shortened log line is a nuisance, a leak is worse. Own patterns,
because detect-secrets takes 106 s for 200,000 log lines without a secret, where these take 0.7 s, and it finds none of
``--password x``, ``<password>x</password>`` and ``pass: x``.
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
# backtracks, or is bounded, or cannot start where another one has already passed. A group is repeated in an atomic
# group and never possessively: Python before 3.11.3 matches possessive groups wrongly.
URL = r"""
    (://[^\s/:@\[]*+:)                                   # ://user:
    (?: [^\s/"'<>]*(?=@)                                 # all up to the last @ before a slash
      | (?!\d{1,5}(?:[/?\#\s"',;)<>]|$)) [^\s<>]{1,100}(?=@)  # whatever it holds, if it is no port
    )
"""
NAME = r"""
    (   (?: password | passwd | passphrase | [_-]pass | \bpass(?==) | pwd | token | credentials?
          | secret (?:[_-]?(?:access[_-]?)?key)? | (?:account|api|private|access|auth|encryption|signing)[_-]?key
          | \bsig(?==) | signature(?==)
          | session[_-]?id )
        (?: \\{0,3}["']?[\])]? [ \t]{0,10} (?: => | [=:]{1,3} ) [ \t]{0,10} \(?
          | (?<=password) [ \t]{1,10} (?=') )            # alter role app password 'x'
    )
    (?: b? " (?>(?:[^"\\]|\\.)*) "?
      | b? ' (?>(?:[^'\\]|\\.)*) '?
      | \\{1,3} ["'] [^"'\\]*+ (?: \\{1,3}["'] )?        # in quotes inside quotes
      | (?>(?: [^\s&,;"')}\]]                            # a bracket or a comma ends it, unless it goes on behind that
          | [,;"')}\]] (?=[^\s&,;"')}\]]) (?![\w.-]{1,40}["']?[=:]) )+)
    )
"""
HEADER = r"""
    (authorization \\{0,3}["']?\]? [ \t]{0,10} [=:] [ \t]{0,10} \\{0,3}["']? (?:[\w-]{1,20}[ \t]{1,10})?)
    [^\s"',;\\]++
"""
WORD = r"""
    (?: password | passwd | passphrase | pass | pwd | token | credentials? | secret
      | (?:account|api|private|access|auth|secret)[_-]?key )
"""
# From here on, repetitions are not possessive: Python 3.11.2 matches a possessive group with alternatives wrongly.
ARGUMENT = rf"""
    ((?<![\w-]) --[\w-]{{0,40}}? {WORD} [ \t]{{1,10}}) (?!-)
    (?: "[^"]*"? | '[^']*'? | [^\s"']+ )                 # psql --password x
"""
ELEMENT = rf"""
    (<[\w:.-]{{0,40}}? {WORD} (?:[ \t][^<>]{{0,200}})? >) [^<]+ (?=</)   # <password>x</password>
"""
DOLLARS = r"(password [ \t]{1,10}) \$(\w{0,20})\$ (?: [\s\S]{0,1000}? \$\2\$ | \S* )"  # alter role app password $$x$$
SHORT_NAME = (
    r"""(\bpass \\{0,3}["']? [ \t]{0,10} : [ \t]{0,10}) (?!\d{1,3}(?!\w)) (?: "[^"]*"? | '[^']*'? | [^\s"',;)}\]]+ )"""
)
ENCODED = rf"""
    ({WORD} (?:%5C)?%22 (?:%20|\+)? %3A (?:%20|\+)?)     # "password":"x" in a URL
    (?: (?:%5C)?%22 (?: %5C%[\dA-F]{{2}} | (?!(?:%5C)?%22) [^\s&] )* (?:%5C)?(?:%22)? | (?: (?!%2C|%7D) [^\s&"'] )+ )
"""
PARAMETER = rf"({WORD} %3D) (?: (?!%26) [^\s&\"'] )+"  # ?password=x in a URL in a URL
WEBHOOK = r"""
    ( hooks\.slack\.com/[a-z]{1,20}/ | discord(?:app)?\.com/api/(?:v\d{1,3}/)?webhooks/\d{1,30}/
    | webhook\.office\.com/webhookb2/ | outlook\.office\.com/webhook/ | api\.telegram\.org/(?:file/)?bot )
    [^\s/"'<>)] [^\s"'<>)]*
"""
PGPASS = r"""
    ((?<![^\s"'`]) (?:[\w.*-]{1,100} | \[[\da-f:]{2,40}\]) : (?:\d{1,5}|\*) : [^\s:]{1,64} : [^\s:]{1,64} :)
    [^\s:"'`]\S*                                        # a line of a password file: host:port:database:user:password
"""
RULES = (
    Rule(("://",), re.compile(URL, re.VERBOSE)),
    Rule(
        ("pass", "pwd", "token", "credential", "secret", "key", "session", "sig=", "signature="),
        re.compile(NAME, re.VERBOSE | re.IGNORECASE),
    ),
    Rule(("authorization",), re.compile(HEADER, re.VERBOSE | re.IGNORECASE)),
    Rule(("bearer",), re.compile(r"(\bbearer[ \t]{1,10})(?=[a-z._~+/=-]{0,200}\d)[\w.~+/=-]{8,}+", re.IGNORECASE)),
    Rule(
        ("cookie",), re.compile(r"""(\b(?:set-)?cookie["']?[ \t]{0,10}:[ \t]{0,10}["']?)[^\r\n"']++""", re.IGNORECASE)
    ),
    Rule(("private key-----",), re.compile(r"(PRIVATE KEY-----)(?>(?:(?!-----END).)+)", re.DOTALL)),
    # Secrets with a known form: a JSON web token, and keys of services with a fixed prefix.
    Rule(("eyj",), re.compile(r"((?<![\w-])eyJ)[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?")),
    Rule(
        (
            *(
                "ghp_",
                "gho_",
                "ghr_",
                "ghs_",
                "ghu_",
                "github_pat_",
                "k_live_",
                "k_test_",
                "glpat-",
                "xox",
                "xapp-",
                "sk-",
            ),
            *("npm_", "pypi-", "whsec_", "aiza", "gocspx-", "shpat_", "dop_v1_", "hf_", "lin_api_"),
        ),
        re.compile(
            r"((?<![\w-])(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|xapp-|[rs]k_(?:live|test)_|sk-|npm_|pypi-|whsec_|AIza"
            r"|GOCSPX-|shpat_|dop_v1_|hf_|lin_api_))[\w-]{16,}+"
        ),
    ),
    Rule(("akia", "asia"), re.compile(r"((?<![A-Za-z0-9])A[KS]IA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    Rule(("sg.",), re.compile(r"((?<![\w-])SG\.)[\w-]{10,100}(?:\.[\w-]{1,200})?")),
    Rule(("--",), re.compile(ARGUMENT, re.VERBOSE | re.IGNORECASE)),
    Rule(("</",), re.compile(ELEMENT, re.VERBOSE | re.IGNORECASE)),
    Rule(("$",), re.compile(DOLLARS, re.VERBOSE | re.IGNORECASE)),
    Rule(("pass",), re.compile(SHORT_NAME, re.VERBOSE | re.IGNORECASE)),
    Rule(("%3a",), re.compile(ENCODED, re.VERBOSE | re.IGNORECASE)),
    Rule(("%3d",), re.compile(PARAMETER, re.VERBOSE | re.IGNORECASE)),
    Rule(
        ("hooks.slack.com", "webhooks/", "webhookb2/", "office.com/webhook/", "telegram.org"),
        re.compile(WEBHOOK, re.VERBOSE | re.IGNORECASE),
    ),
    Rule((":5432:", ":5433:", ":6432:", ":*:"), re.compile(PGPASS, re.VERBOSE | re.IGNORECASE)),
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
