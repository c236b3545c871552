"""Coalescing: one change made of several changes of an object. Pure."""

from dataclasses import replace

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action


def merged(first: Change, last: Change) -> Change | None:
    """One change from the row before the first change to the row after the last one, with all changes in between.

    Its id, time, user and request are those of the last change. If nothing has changed in the end, there is no such
    change: the row was created and deleted again, or is as it was before.
    """
    if first.prechange_json == last.postchange_json:
        return None
    return replace(last, action=_action(first, last), prechange_json=first.prechange_json)


def can_be_merged(change: Change) -> bool:
    """Whether a change has rows. A truncate does not, nor does a change whose snapshot failed."""
    return change.action is not Action.ACTION_TRUNCATE and change.snapshot_error is None


def _action(first: Change, last: Change) -> Action:
    if first.prechange_json is None:
        return Action.ACTION_CREATE
    return Action.ACTION_DELETE if last.postchange_json is None else Action.ACTION_UPDATE
