"""Hooks in a file: reading, refusing, and that a written file reads back as the same hooks."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from jobhooks.errors import InvalidHookFile
from jobhooks.matching.hook_settings import MAX_COALESCE_S, REQUEST_S, HookSettings
from jobhooks.operations.configuration import hook_file
from jobhooks.operations.configuration.hook_plan import Difference, StepKind, saving
from jobhooks.operations.configuration.hooks import JobHook

PLAIN = HookSettings(
    *("h", ["public.device"], "a.B", ["create", "update"]),
    enabled=True,
    priority=0,
    description="",
    columns=[],
    conditions="",
    coalesce_s=None,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON_VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS


def _nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)


HOOKS = st.builds(
    HookSettings,
    TEXTS,
    st.lists(TEXTS).map(lambda names: sorted({*names})),
    TEXTS,
    st.lists(st.sampled_from(hook_file.EVENTS)).map(hook_file.ordered_events),
    enabled=st.booleans(),
    paused=st.booleans(),
    priority=st.integers(-(2**31), 2**31 - 1),
    description=TEXTS,
    columns=st.lists(TEXTS).map(lambda names: sorted({*names})),
    conditions=TEXTS,
    data=st.dictionaries(TEXTS, st.recursive(JSON_VALUES, _nested, max_leaves=5), max_size=3),
    roles=st.lists(TEXTS).map(lambda names: sorted({*names})),
    debounce_s=st.none() | st.floats(0, MAX_COALESCE_S, exclude_min=True),
    longest_wait_s=st.none() | st.floats(0, MAX_COALESCE_S, exclude_min=True),
    rate=st.sampled_from(["", "30/min"]),
    rate_per=st.lists(TEXTS).map(lambda names: sorted({*names})),
    coalesce_s=st.sampled_from([None, 0.0, REQUEST_S]) | st.floats(0, MAX_COALESCE_S, exclude_min=True),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hooks.toml"


def test_a_hook_is_read_with_what_is_so_by_default(file: Path) -> None:
    events = '["update", "create", "update"]'
    file.write_text(f'[[hook]]\nname = "h"\ncontent_types = ["public.device"]\njob = "a.B"\nevents = {events}\n')
    assert hook_file.read(file) == [PLAIN]


def test_what_is_so_by_default_is_not_written() -> None:
    assert hook_file.written([PLAIN]) == (
        '[[hook]]\nname = "h"\ncontent_types = ["public.device"]\njob = "a.B"\nevents = ["create", "update"]\n'
    )


@given(hooks=st.lists(HOOKS, unique_by=lambda hook: hook.name))
def test_what_is_written_is_read_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, hooks: list[HookSettings]
) -> None:
    """Quotes, line breaks, control characters and all: an export that is applied changes nothing."""
    file = tmp_path_factory.mktemp("written") / "hooks.toml"
    file.write_bytes(hook_file.written(hooks).encode())
    assert hook_file.read(file) == (hooks or None)


@pytest.mark.parametrize(
    ("text", "hooks"),
    [("", None), ("[[table]]\nname = 'public.t'\n", None), ("hook = []\n", []), ("[]", []), ('{"hook": []}', [])],
)
def test_a_file_without_hooks_leaves_them_alone(file: Path, text: str, hooks: list[HookSettings] | None) -> None:
    """No hook and an empty list of hooks differ: the second deletes all of them."""
    file.write_text(text)
    assert hook_file.read(file) == hooks


def test_values_are_shown_as_people_write_them() -> None:
    """In the history they are numbers of JSON, which can be integers."""
    shown = [hook_file.shown_value("coalesce_s", value) for value in (None, 0, -1, 5)]
    assert shown == [None, "transaction", "request", 5.0]
    assert isinstance(hook_file.shown_value("debounce_s", 5), float)
    assert hook_file.shown_value("priority", 5) == 5


HOOK = 'name = "h"\ncontent_types = ["t"]\njob = "a.B"\nevents = ["update"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[hook]\n", "is not TOML: "),
        ("hook = 1\n", " hook: "),
        (f"[hooks]\n{HOOK}", " hooks: "),
        ('[[hook]]\nname = "h"\n', '"h": '),
        ("[[hook]]\njob = 'a.B'\n", "number 1: "),
        (f"[[hook]]\n{HOOK}\n[[hook]]\n{HOOK}", '"h"'),
        (f"[[hook]]\n{HOOK}event = 'x'\n", "`event`"),
        (f"[[hook]]\n{HOOK}enabled = 'no'\n", '"h": enabled: '),
        (f"[[hook]]\n{HOOK}columns = ['a', 1]\n", '"h": columns[1]: '),
        (f"[[hook]]\n{HOOK}coalesce = 'always'\n", '"h": coalesce: '),
        (f"[[hook]]\n{HOOK}coalesce = 0\n", 'hook "h": coalesce: '),
        (f"[[hook]]\n{HOOK}coalesce = nan\n", 'hook "h": coalesce: '),
        (f"[[hook]]\n{HOOK}coalesce = 86401\n", 'hook "h": coalesce: '),
        (f"[[hook]]\n{HOOK}coalesce = true\n", 'hook "h": coalesce: '),
        (f"[[hook]]\n{HOOK}debounce = '5s'\n", 'hook "h": debounce: '),
        (f"[[hook]]\n{HOOK}longest_wait = 0\n", 'hook "h": longest_wait: '),
        (f"[[hook]]\n{HOOK}data = 1\n", 'hook "h": data: '),
        (f"[[hook]]\n{HOOK}data = '[1]'\n", 'hook "h": data: '),
        (f"[[hook]]\n{HOOK}[hook.data]\nlimit = inf\n", 'hook "h": data: '),
        (f'[[hook]]\n{HOOK}[hook.data]\nlimit = "\\u0000"\n', 'hook "h": data: '),
    ],
)
def test_what_a_file_cannot_say(file: Path, text: str, words: str) -> None:
    """The message names the file and the hook."""
    file.write_text(text)
    with pytest.raises(InvalidHookFile) as caught:
        hook_file.read(file)
    assert str(caught.value).startswith(str(file)) and words in str(caught.value)


def test_a_file_that_cannot_be_read(file: Path) -> None:
    file.write_bytes(b"\xff")
    for path in (file, file.parent):
        with pytest.raises(InvalidHookFile):
            hook_file.read(path)


def test_lists_have_no_order_of_their_own() -> None:
    """Lists that were written by hand in a different order are equal."""
    there = JobHook(
        *("h", ["b", "a"], "a.B", ["update", "create"]),
        columns=["y", "x"],
        runs=True,
        why_not=None,
        condition_state=None,
        condition_failures=0,
        condition_error=None,
    )
    wanted = HookSettings(
        *("h", ["a", "b"], "a.B", ["create", "update"]),
        enabled=True,
        priority=0,
        description="",
        columns=["x", "y"],
        conditions="",
        coalesce_s=0.0,
    )
    step = saving(there, wanted)
    assert (step.kind, step.differences) == (StepKind.EDIT, [Difference("coalesce", None, "transaction")])


def test_data_are_a_table_of_their_own_or_json(file: Path) -> None:
    """TOML has no null; dates become texts, as JSON has them."""
    file.write_text(f"[[hook]]\n{HOOK}[hook.data]\nchannel = 'ops'\nsince = 2026-12-01\nlevels = [1, {{a = 2}}]\n")
    (hook,) = hook_file.read(file) or []
    assert hook.data == {"channel": "ops", "since": "2026-12-01", "levels": [1, {"a": 2}]}
    assert "[hook.data]\n" in hook_file.written([hook])
    file.write_text(f"[[hook]]\n{HOOK}data = '{{\"channel\": null}}'\n")
    (hook,) = hook_file.read(file) or []
    assert hook.data == {"channel": None}
    assert "[hook.data]" not in hook_file.written([hook])
