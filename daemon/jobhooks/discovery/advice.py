"""Finds faults in the text of a receiver's module before a run: Nautobot's imports, missing awaits. Pure."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from jobhooks.contract.relations.choosing import OF_NAUTOBOT

# Names that a module imports from Nautobot, and that are the same here.
HERE = frozenset({"JobHookReceiver", "ObjectChange", "ObjectChangeActionChoices", "register_jobs", "get_task_logger"})
AWAITED = frozenset({"save", "validated_save", "refresh", "refresh_from_db", "delete"})
LIVE_ROW = "changed_object"


class Advice(NamedTuple):
    """A line of a module, and the change that it needs."""

    line: int
    text: str


def nautobot_imports(text: str | bytes) -> Advice | None:
    """The imports that replace those of Nautobot; null without such imports."""
    found = [node for node in ast.walk(_parsed(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    named = [(node, name) for node in found for name in _names(node)]
    if not named:
        return None
    known = sorted({name for _, name in named if name in HERE})
    others = sorted({name for _, name in named if name not in HERE})
    parts: list[str] = []
    if known:
        parts.append(f"write: from jobhooks import {', '.join(known)}")
    if others:
        parts.append(
            f"leave out {', '.join(others)}: jobhooks has no models; follow foreign keys from changed_object, or query"
            " through self.connection"
        )
    return Advice(min(node.lineno for node, _ in named), f"it imports from nautobot. Instead, {'; '.join(parts)}")


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The names that an import takes from Nautobot."""
    if isinstance(node, ast.ImportFrom):
        return [alias.name for alias in node.names] if (node.module or "").partition(".")[0] == "nautobot" else []
    return [alias.name for alias in node.names if alias.name.partition(".")[0] == "nautobot"]


def advice_for(text: str | bytes, class_name: str) -> list[Advice]:
    """The faults of a class: calls of the live row that are not awaited, and names that it does not have."""
    classes = (node for node in ast.walk(_parsed(text)) if isinstance(node, ast.ClassDef))
    receiver = next((node for node in classes if node.name == class_name), None)
    return sorted(_advice(receiver, class_name)) if receiver is not None else []


def _advice(receiver: ast.ClassDef, name: str) -> Iterator[Advice]:
    for node in ast.walk(receiver):
        if isinstance(node, ast.Attribute) and _is_live_row(node.value) and node.attr in OF_NAUTOBOT:
            yield Advice(node.lineno, f"{name} uses {LIVE_ROW}.{node.attr}: {OF_NAUTOBOT[node.attr]}")
        if isinstance(node, ast.AsyncFunctionDef):
            for call in map(_unawaited, ast.walk(node)):
                if call is not None:
                    line, method = call
                    yield Advice(line, f"{name} does not await {LIVE_ROW}.{method}(), so it does nothing")


def _unawaited(node: ast.AST) -> tuple[int, str] | None:
    """The line and the method, if a statement is nothing but a call of the live row."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return None
    called = node.value.func
    if isinstance(called, ast.Attribute) and _is_live_row(called.value) and called.attr in AWAITED:
        return node.lineno, called.attr
    return None


def _is_live_row(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == LIVE_ROW


def _parsed(text: str | bytes) -> ast.Module:
    """The module; an empty one if it is no Python, which its import reports."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])
