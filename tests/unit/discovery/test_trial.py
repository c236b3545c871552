"""Modules whose import ends the process, or never ends: they are broken, and the others are found."""

from pathlib import Path

import pytest

from jobhooks.discovery import trial
from jobhooks.discovery.loading import find_receivers
from jobhooks.discovery.trial import Trial, in_copy, in_new_process

RECEIVER = """
from jobhooks import JobHookReceiver
class C(JobHookReceiver):
    def receive_job_hook(self, change): pass
"""
TRIALS = pytest.mark.parametrize("kind", [in_copy, in_new_process])


@TRIALS
@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("import os; os._exit(3)", "its import ends the process, with exit code 3"),
        ("import os; os._exit(0)", "its import ends the process, with exit code 0"),
        ("import os; os.kill(os.getpid(), 9)", "its import ends the process, with SIGKILL"),
        ("import os; os.kill(os.getpid(), 35)", "its import ends the process, with signal 35"),
        ("import os; os.write(1, b'.'); os._exit(3)", "its import ends the process, with exit code 3"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (
            "raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})",
            "E: <E whose __str__ raises ZeroDivisionError>",
        ),
    ],
)
def test_it_is_reported_and_the_others_are_found(tmp_path: Path, kind: Trial, line: str, error: str) -> None:
    (tmp_path / "a.py").write_text(line + RECEIVER)
    (tmp_path / "b.py").write_text(RECEIVER)
    registry = find_receivers([tmp_path], trial=kind)
    assert [(broken.module, broken.error) for broken in registry.broken] == [("a", error)]
    assert list(registry.receivers) == ["b.C"]


@TRIALS
def test_an_import_that_never_ends_is_given_up(tmp_path: Path, kind: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "LIMIT_S", 0.5)
    (tmp_path / "a.py").write_text("while True: pass")
    (broken,) = find_receivers([tmp_path], trial=kind).broken
    assert broken.error == "its import does not end within 0 seconds"


@TRIALS
def test_a_module_may_print_and_import_its_helpers(
    tmp_path: Path, kind: Trial, capfd: pytest.CaptureFixture[str]
) -> None:
    """It prints once: in this process."""
    (tmp_path / "_shared.py").write_text("print('imported')")
    (tmp_path / "a.py").write_text("from . import _shared" + RECEIVER)
    registry = find_receivers([tmp_path], trial=kind)
    assert not registry.broken and list(registry.receivers) == ["a.C"]
    assert capfd.readouterr().out == "imported\n"
