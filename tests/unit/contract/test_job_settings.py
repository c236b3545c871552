"""The table of job settings, and the files generated from it."""

import msgspec
import pytest

from jobhooks.contract.choices import FailurePolicy, Ordering
from jobhooks.contract.job_settings import DEFAULTS, RULES, JobLimits, JobSettings
from support import generated


def test_what_is_generated_from_the_table_is_current() -> None:
    """`make generate` writes both files."""
    assert generated.JOB_SETTINGS.read_text() == generated.job_settings()
    assert generated.RECEIVER.read_text() == generated.receiver_reference()


def test_every_setting_has_a_rule_and_a_default() -> None:
    assert sorted(RULES) == sorted(DEFAULTS)
    assert [name for name, default in DEFAULTS.items() if default is None] == [
        "soft_time_limit",
        "time_limit",
        "batch_size",
        "name",
    ]


@pytest.mark.parametrize("order_by", [Ordering.TABLE, ("site_id", "rack")])
def test_settings_travel_as_json(order_by: Ordering | tuple[str, ...]) -> None:
    """From Meta to the database and back, and the engine reads its part of the same object."""
    settings = JobSettings(name="n", order_by=order_by, on_failure=FailurePolicy.SKIP, time_limit=5.0)
    encoded = msgspec.json.encode(settings)
    assert msgspec.json.decode(encoded, type=JobSettings) == settings
    limits = msgspec.json.decode(encoded, type=JobLimits)
    assert limits == JobLimits(order_by=order_by, on_failure=FailurePolicy.SKIP, time_limit=5.0)
    assert limits.on_failure is FailurePolicy.SKIP
