"""One change made of several of an object. Pure."""

from dataclasses import replace

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action


def merged(first: Change, last: Change) -> Change | None:
    """Return what two changes of an object, and all between them, come to: the row before them, and that after them.

    The rest (id, time, who and why) is the last one's. None: nothing has changed in the end. So it is where the row was
    created and deleted again, and where it has become what it was.
    """
    if first.prechange_json == last.postchange_json:
        return None
    return replace(last, action=_action(first, last), prechange_json=first.prechange_json)


def can_be_merged(change: Change) -> bool:
    """Return whether a change has the rows that it takes: a truncate has none, and some could not be written."""
    return change.action is not Action.ACTION_TRUNCATE and change.snapshot_error is None


def _action(first: Change, last: Change) -> Action:
    if first.prechange_json is None:
        return Action.ACTION_CREATE
    return Action.ACTION_DELETE if last.postchange_json is None else Action.ACTION_UPDATE
