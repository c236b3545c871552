"""Names of Nautobot's on a receiver: users, requests, results, data files, and the arguments of its steps."""

import importlib
import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO

import pytest

from jobhooks import JobHookReceiver, ObjectChange, get_task_logger, register_jobs
from jobhooks.contract.change import Change
from jobhooks.contract.nautobot import data_files
from jobhooks.contract.nautobot.identities import Request, RunIdentity, User, user_of
from jobhooks.contract.nautobot.registering import register_jobs as defined
from jobhooks.contract.nautobot.step_arguments import ErrorInfo, call_step, fits, takes
from jobhooks.contract.run import DeliveryIdentity, Run


def connect() -> Any:
    raise AssertionError("no receiver of these needs a connection")


class Plain(JobHookReceiver):
    """Has no steps."""


def run(change: object = None) -> Run[Any]:
    return Run(DeliveryIdentity(7, 3, 2), connect, hook_name="serials", change=change)  # pyright: ignore[reportArgumentType]


def test_the_user_is_the_one_of_the_change() -> None:
    receiver = Plain(run(SimpleNamespace(user_name="alice", request_id="r-1")))
    assert (receiver.user.username, str(receiver.user), f"{receiver.user}") == ("alice", "alice", "alice")
    assert receiver.request == Request("r-1", User("alice")) and receiver.request.user.username == "alice"
    assert receiver.job_result == RunIdentity("7:3:2", "serials", User("alice"), "r-1")
    assert (receiver.job_result.pk, str(receiver.job_result)) == ("7:3:2", "serials 7:3:2")


def test_permissions_are_not_guessed() -> None:
    """A receiver that asks must not get an answer that lets it go on."""
    with pytest.raises(NotImplementedError, match="jobhooks knows the name of a user and no permissions"):
        User("alice").has_perm("dcim.add_device")


def test_without_a_change_the_user_has_no_name() -> None:
    assert user_of(None) == User("") and Plain(run()).request.id is None


def test_object_change_is_the_change() -> None:
    assert ObjectChange is Change


def test_register_jobs_accepts_classes() -> None:
    assert defined is register_jobs
    register_jobs(Plain, Plain)
    register_jobs()
    with pytest.raises(TypeError, match=r"register_jobs\(\) takes classes, not 'Plain'"):
        register_jobs("Plain")  # pyright: ignore[reportArgumentType]


def test_a_task_logger_is_a_logger_of_the_standard_library() -> None:
    assert get_task_logger("a.b") is logging.getLogger("a.b")


def read(file: TextIO) -> str:
    return file.read()


def test_data_files_lie_beside_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "with_data.py").write_text("from jobhooks import JobHookReceiver\nclass Reads(JobHookReceiver): pass\n")
    (tmp_path / "limits.json").write_text(json.dumps({"most": 3}))
    (tmp_path / "limits.yaml").write_text("most: 3\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    reads: Any = importlib.import_module("with_data").Reads

    receiver = reads(run())
    assert receiver.load_json("limits.json") == {"most": 3}
    monkeypatch.setitem(sys.modules, "yaml", SimpleNamespace(safe_load=read))
    assert receiver.load_yaml("limits.yaml") == "most: 3\n"
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ModuleNotFoundError, match="pip install PyYAML"):
        data_files.load_yaml(reads, "limits.yaml")


class OwnSteps(JobHookReceiver):
    def before_start(self) -> Any:
        return super().before_start()

    def on_success(self, value: object) -> Any:
        return value

    def on_failure(self, exc: BaseException) -> Any:
        return exc

    def after_return(self, status: str, value: object) -> Any:
        return status, value


class NautobotSteps(JobHookReceiver):
    def before_start(self, task_id: str, args: object, kwargs: object) -> Any:
        super().before_start(task_id, args, kwargs)
        return task_id, args, kwargs

    def on_success(self, retval: object, task_id: str, args: object, kwargs: object) -> Any:
        super().on_success(retval, task_id, args, kwargs)
        return retval, task_id, args, kwargs

    def on_failure(self, exc: BaseException, task_id: str, args: object, kwargs: object, einfo: ErrorInfo) -> Any:
        return exc, task_id, einfo.exception, str(einfo)

    def after_return(
        self, status: str, retval: object, task_id: str, args: object, kwargs: object, einfo: ErrorInfo | None
    ) -> Any:
        return status, retval, task_id, einfo


def test_steps_get_the_arguments_that_they_take() -> None:
    error = ValueError("no")
    own, theirs = OwnSteps(run()), NautobotSteps(run())
    assert call_step(own, "on_success", (5,), "7:3:2", 7) == 5
    assert call_step(own, "after_return", ("success", 5), "7:3:2", 7) == ("success", 5)
    assert call_step(theirs, "before_start", (), "7:3:2", 7) == ("7:3:2", (), {"object_change": 7})
    assert call_step(theirs, "on_success", (5,), "7:3:2", 7) == (5, "7:3:2", (), {"object_change": 7})
    assert call_step(theirs, "after_return", ("success", 5), "7:3:2", 7) == ("success", 5, "7:3:2", None)
    exc, task_id, same, text = call_step(theirs, "on_failure", (error,), "7:3:2", 7, error)
    assert (exc, task_id, same) == (error, "7:3:2", error) and text == "ValueError: no\n"


def test_a_step_fits_if_it_takes_either() -> None:
    assert all(
        fits(getattr(OwnSteps, step), step) for step in ("before_start", "on_success", "on_failure", "after_return")
    )
    assert fits(NautobotSteps.after_return, "after_return") and not takes(NautobotSteps.after_return, 2)
    assert not fits(OwnSteps.after_return, "on_success")
