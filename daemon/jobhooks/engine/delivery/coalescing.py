"""Coalescing: one change made of several changes of an object. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from jobhooks.contract.change import Change
from jobhooks.contract.choices import ObjectChangeActionChoices as Action


def merged(own: Sequence[Change], last: Change, *, touched: bool = False) -> Change | None:
    """One change from the row before the first of an object's ``own`` changes to the row after the last of them.

    Its id, time, user and request are those of the ``last`` change of all, which can be that of a child of the object.
    If nothing has changed in the end, there is no such change: the row was created and deleted again, or is as it was
    before and not ``touched`` by a change of a child.
    """
    if not own:
        return last
    before, after = own[0].prechange_json, own[-1].postchange_json
    if before == after and (before is None or not touched):
        return None
    action = Action.ACTION_UPDATE if before == after else _action(own[0], own[-1])
    return replace(last, action=action, prechange_json=before, postchange_json=after)


def can_be_merged(change: Change) -> bool:
    """Whether a change has rows. A truncate does not, nor does a change whose snapshot failed."""
    return change.action is not Action.ACTION_TRUNCATE and change.snapshot_error is None


def _action(first: Change, last: Change) -> Action:
    if first.prechange_json is None:
        return Action.ACTION_CREATE
    return Action.ACTION_DELETE if last.postchange_json is None else Action.ACTION_UPDATE
