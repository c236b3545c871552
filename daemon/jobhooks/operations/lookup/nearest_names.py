"""Suggests existing names for a name that does not exist. Pure functions.

The schema ``public`` is ignored, a dot matches an underscore, and the part after the last dot may match alone:
``dcim.device`` finds ``public.dcim_device``, ``rack`` finds ``inventory.rack``, ``shout`` finds ``shout.Shout``.
"""

import difflib
from collections.abc import Iterable

SUGGESTIONS = 2
SIMILARITY = 0.6  # of difflib: "shuot" and "shout" have 0.8
LAST_PART_WEIGHT = 0.9  # so that a match of the whole name comes first


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """The known names most like ``name``, the best first; at most two, and often an empty list."""
    scored = sorted((-_similarity(name, candidate), candidate) for candidate in set(known))
    return [candidate for score, candidate in scored[:SUGGESTIONS] if -score >= SIMILARITY]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown name: ``there is no hook "shuot". Did you mean "shout"?``.

    ``kind``: what the name stands for, such as ``hook``.
    """
    return f'there is no {kind} "{name}"{suggestion(name, known)}'


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of such a message: ``. Did you mean "shout"?``; empty if no known name is near."""
    suggestions = " or ".join(f'"{near}"' for near in nearest_names(name, known))
    return f". Did you mean {suggestions}?" if suggestions else ""


def _similarity(name: str, candidate: str) -> float:
    wanted, found = _plain(name), _plain(candidate)
    return max(_ratio(wanted, found), LAST_PART_WEIGHT * _ratio(_last_part(name), _last_part(candidate)))


def _ratio(left: str, right: str) -> float:
    return difflib.SequenceMatcher(None, left, right).ratio() if left and right else 0.0


def _plain(name: str) -> str:
    return name.casefold().removeprefix("public.").replace(".", "_")


def _last_part(name: str) -> str:
    return name.casefold().rpartition(".")[2]
