"""The evaluator's messages, reworded for authors of conditions."""

import re
import unicodedata

BEFORE, AFTER = 60, 30  # characters of the line that is pointed to
SHOWN = 30  # characters of the wrong text
ERROR = re.compile(r"^(?:[A-Z_]+: )?ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)$", re.MULTILINE)
TOKEN = re.compile(r"\w+|[^\w\s]+")
UNEXPECTED = re.compile(
    r"(?:mismatched|extraneous) input '(.*?)' expecting .*"
    r"|(?:no viable alternative at input|token recognition error at:) '(.*)'",
    re.DOTALL,
)
NO_OVERLOAD = re.compile(r"found no matching overload for '(.*)' applied to '\((.*)\)'")
NO_OVERLOADS = re.compile(r"No matching overloads found : (.*)\((.*)\)")
MISSING_KEY = re.compile(r'(?:Key not found in map : |there is no column )"(.*)"', re.DOTALL)
HINTS = {
    **dict.fromkeys(["and", "AND", "&"], "and is written &&"),
    **dict.fromkeys(["or", "OR", "|"], "or is written ||"),
    **dict.fromkeys(["not", "NOT"], "not is written !"),
    "=": "equal is written ==",
    "<>": "not equal is written !=",
    **dict.fromkeys(["is", "IS"], "whether something is null is asked with == null or != null"),
    **dict.fromkeys(["NULL", "None", "nil"], "null is written null"),
    **dict.fromkeys(["True", "TRUE"], "it is written true"),
    **dict.fromkeys(["False", "FALSE"], "it is written false"),
    **dict.fromkeys(["like", "LIKE"], 'ask with .startsWith("x"), .endsWith("x"), .contains("x") or .matches("x.*")'),
    **dict.fromkeys(["between", "BETWEEN"], "ask with >= and <="),
}
NO_SUCH = {
    "map": "map is left out of conditions: ask with exists, all, exists_one or filter",
    **{
        name: f'{name} takes the names of one to eight columns, each in quotes: {name}("serial")'
        for name in ("changed", "unchanged")
    },
}
TYPES = {"int64": "int", "uint64": "uint", "null_type": "null", "google.protobuf.Timestamp": "timestamp"}
NOTHING_THERE = (
    "it asks for a column or key of what has none, such as old where there is no row before, or new where there is none"
    " after"
)


def where_and_why(text: str, error: str) -> str:
    """Describe the error in an expression, with two more lines: the line of the error and a mark below it."""
    found = [(int(line), int(column), what) for line, column, what in ERROR.findall(error)]
    if not found:
        return "invalid conditions: they are nested deeper than 32 levels"
    # Skip errors about the names that the excluded macro would have defined.
    line, column, what = min(found, key=lambda place: ("'map'" not in place[2], place))
    return pointed(text, line, column, _reason(text, line, column, what))


def pointed(text: str, line: int, column: int, reason: str) -> str:
    """A reason with the line and the column, which count from 1, and that line with a mark."""
    shown = "".join(letter if letter.isprintable() else " " for letter in _line(text, line))
    start = max(0, column - 1 - BEFORE)
    indent = "".join(
        "  " if unicodedata.east_asian_width(letter) in "WF" else " " for letter in shown[start : column - 1]
    )
    return (
        f"invalid conditions, line {line}, column {column}: {reason}\n"
        f"    {shown[start : column - 1 + AFTER].rstrip()}\n    {indent}^"
    )


def _reason(text: str, line: int, column: int, what: str) -> str:
    here = _line(text, line)[column - 1 :]
    if undeclared := re.match(r"undeclared reference to '(.*)' \(in container", what):
        return _undeclared(undeclared[1][:SHOWN], called=here.startswith("("))
    if overload := NO_OVERLOAD.match(what):
        if overload[1] in NO_SUCH:
            return NO_SUCH[overload[1]]
        return _not_taken(*overload.groups())
    if unexpected := UNEXPECTED.match(what):
        what = _unexpected(unexpected[1] or unexpected[2] or "")
    return _with_hint(what.replace("'<EOF>'", "the end"), text, line, column)


def _undeclared(name: str, *, called: bool) -> str:
    if name in NO_SUCH:
        return NO_SUCH[name]
    if called:
        return f"there is no function {name}"
    hint = HINTS.get(name, f"a column is named as new.{name} or old.{name}, and a text is in quotes")
    return f"there is no variable {name}: {hint}"


def _unexpected(found: str) -> str:
    found = found.strip()
    if found == "<EOF>":
        return "it ends too early"
    if found[:1] in {"'", '"'}:
        return "the text that begins here does not end"
    return f'unexpected "{found[:SHOWN]}"'


def _with_hint(what: str, text: str, line: int, column: int) -> str:
    """Add the CEL notation, if the text at the error or before it is a common mistake."""
    here = _line(text, line)
    tokens = [token for token in TOKEN.finditer(here) if token.start() < column][-2:]
    hint = next((HINTS[token[0]] for token in reversed(tokens) if token[0] in HINTS), None)
    return what if hint is None else f"{what}: {hint}"


def _not_taken(function: str, types: str) -> str:
    """The reason that a function does not take values of these types; ``_>_`` is the operator >."""
    name = function.strip("_") or function
    named = ", ".join(TYPES.get(type_, type_) for type_ in types.split(", "))
    return f"{name} does not take ({named})"


def _line(text: str, line: int) -> str:
    lines = text.split("\n")
    return lines[line - 1] if line <= len(lines) else ""


def evaluation_failure(error: str, text: str) -> tuple[str, str]:
    """Why an expression could not be evaluated, and the same without values of a row."""
    reason = re.sub(r"^[A-Z_]+: ", "", error)
    if overload := NO_OVERLOADS.fullmatch(reason):
        reason = _not_taken(*overload.groups())
        return reason, reason
    if key := MISSING_KEY.fullmatch(reason):
        reason = f'there is no "{key[1]}"'
        return reason, reason if key[1] in text else "there is no such key"
    if reason.startswith(("Applying SELECT to non-message type", "Invalid container type: 'null_type'")):
        return NOTHING_THERE, NOTHING_THERE
    return reason, re.split(r"[:'\"]", reason)[0].strip()
