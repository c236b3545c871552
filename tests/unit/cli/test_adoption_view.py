"""The sentences of jobhooks adopt about what it keeps and drops."""

import pytest

from jobhooks.cli.show.adoption import if_copied, if_moved, print_owed
from jobhooks.operations.adopting import Adoption, Owed


def adoption(*, ids_survived: bool, complete: bool) -> Adoption:
    hooks = [Owed("h", 1000, complete, 2, 1), Owed("i", 5, complete=True, waiting=0, dead=0)]
    return Adoption(None, None, ids_survived, hooks)


def test_that_not_all_changes_were_counted(capsys: pytest.CaptureFixture[str]) -> None:
    plan = adoption(ids_survived=True, complete=False)
    assert if_moved(plan) == "goes on where it stopped: over 1005 unread and 3 pending deliveries are kept."
    assert if_copied(plan).startswith("starts afresh: over 1005 unread and 3 pending deliveries are dropped")
    print_owed(plan)
    assert "over 1000" in capsys.readouterr().out


def test_that_writers_wait_for_new_ids() -> None:
    """An operator chooses the moment for that."""
    plan = adoption(ids_survived=False, complete=True)
    assert if_moved(plan).endswith("Writers of watched tables wait until that is done.")
