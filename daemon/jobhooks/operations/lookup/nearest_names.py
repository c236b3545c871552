"""Suggests existing names for a name that does not exist. Pure functions.

The schema ``public`` and double quotes are ignored, a dot matches an underscore, and the part after the last dot may
match alone: ``dcim.device`` finds ``public.dcim_device``, ``rack`` finds ``inventory.rack``, ``shout`` finds
``shout.Shout``. ``jobhooks.nearest_names`` finds the same names, for the errors that the database raises.
"""

from collections.abc import Iterable

SUGGESTIONS = 2
SIMILARITY = 0.5  # "shuot" and "shout" have 0.5, "devise" and "device" 0.71
LAST_PART_WEIGHT = 0.9  # so that a match of the whole name comes first


def nearest_names(name: str, known: Iterable[str]) -> list[str]:
    """The known names most like ``name``, the best first; at most two, and often an empty list."""
    scored = sorted((-_similarity(name, candidate), candidate) for candidate in set(known))
    return [candidate for score, candidate in scored[:SUGGESTIONS] if -score >= SIMILARITY]


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Message for an unknown name: ``there is no hook "shuot". Did you mean "shout"?``.

    ``kind``: the kind of thing, such as ``hook``.
    """
    return f'there is no {kind} "{name}"{suggestion(name, known)}'


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of such a message: ``. Did you mean "shout"?``; empty if no known name is near."""
    suggestions = " or ".join(near if '"' in near else f'"{near}"' for near in nearest_names(name, known))
    return f". Did you mean {suggestions}?" if suggestions else ""


def _similarity(name: str, candidate: str) -> float:
    wanted, found = _plain(name), _plain(candidate)
    return max(_shared(wanted, found), LAST_PART_WEIGHT * _shared(_last_part(name), _last_part(candidate)))


def _shared(one: str, other: str) -> float:
    """Dice's coefficient of the pairs of letters: 2 * shared / (pairs of one + pairs of the other)."""
    left, right = _pairs(one), _pairs(other)
    return 2 * len(left & right) / (len(left) + len(right)) if left and right else 0.0


def _pairs(text: str) -> set[str]:
    padded = f" {text} "
    return {padded[place : place + 2] for place in range(len(text) + 1)} if text else set()


def _plain(name: str) -> str:
    return name.lower().removeprefix("public.").replace(".", "_").replace('"', "")


def _last_part(name: str) -> str:
    return name.lower().rpartition(".")[2].replace('"', "")
