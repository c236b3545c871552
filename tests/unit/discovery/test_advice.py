"""Faults in the text of a receiver's module: imports of Nautobot, calls without an await."""

import pytest

from jobhooks.discovery.advice import advice_for, nautobot_imports


@pytest.mark.parametrize(
    ("text", "line", "instead"),
    [
        (
            "import os\nfrom nautobot.extras.jobs import JobHookReceiver",
            2,
            "write: from jobhooks import JobHookReceiver",
        ),
        (
            "from nautobot.apps.jobs import register_jobs, JobHookReceiver\n"
            "from nautobot.extras.choices import ObjectChangeActionChoices",
            1,
            "write: from jobhooks import JobHookReceiver, ObjectChangeActionChoices, register_jobs",
        ),
        (
            "import nautobot.dcim.models",
            1,
            "leave out nautobot.dcim.models: jobhooks has no models; follow foreign keys",
        ),
    ],
)
def test_imports_of_nautobot_have_a_remedy(text: str, line: int, instead: str) -> None:
    found = nautobot_imports(text)
    assert found is not None and found.line == line
    assert found.text.startswith(f"it imports from nautobot. Instead, {instead}")


@pytest.mark.parametrize("text", ["from jobhooks import Change", "import nautobots", "this is no Python (", "\0"])
def test_other_modules_have_none(text: str) -> None:
    assert nautobot_imports(text) is None


RECEIVER = """
class Other:
    async def receive_job_hook(self, changed_object):
        changed_object.save()
class Here:
    async def receive_job_hook(self, changed_object):
        await changed_object.save()
        task = changed_object.save()
        changed_object.validated_save()
        device.save()
        if changed_object.cf:
            changed_object.refresh_from_db()
    def helper(self, changed_object):
        changed_object.save()
"""


def test_only_statements_without_an_await_are_named() -> None:
    """A call whose value is kept may be awaited later, and a def method may be for another row."""
    assert [(line, text.partition(",")[0]) for line, text in advice_for(RECEIVER, "Here")] == [
        (9, "Here does not await changed_object.validated_save()"),
        (11, "Here uses changed_object.cf: custom fields are Nautobot's"),
        (12, "Here does not await changed_object.refresh_from_db()"),
    ]
    assert advice_for(RECEIVER, "Nowhere") == []
