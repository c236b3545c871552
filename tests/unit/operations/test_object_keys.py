"""Keys of objects as a person writes them, and keys of rows as the log has them."""

import pytest

from jobhooks.errors import WrongUsage
from jobhooks.operations.lookup.object_keys import key_of, object_key


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["17"], {None: "17"}),
        (["id=17"], {"id": "17"}),
        (["a=1", "b=x=y"], {"a": "1", "b": "x=y"}),
        ([" id =17"], {"id": "17"}),
        (["id="], {"id": ""}),
        ([""], {None: ""}),
    ],
)
def test_a_key_is_a_value_or_columns_with_values(texts: list[str], values: dict[str | None, str]) -> None:
    key = object_key(texts)
    assert key is not None and key.values == values


def test_no_texts_are_no_key() -> None:
    assert object_key([]) is None


@pytest.mark.parametrize("texts", [["7", "8"], ["id=7", "id=8"], ["id=7", "8"], ["8", "id=7"], ["=7"]])
def test_an_ambiguous_key_is_wrong_usage(texts: list[str]) -> None:
    with pytest.raises(WrongUsage):
        object_key(texts)


@pytest.mark.parametrize(
    ("key_columns", "recorded", "image", "key"),
    [
        (["id"], None, '{"id": 1, "name": "x"}', {"id": "1"}),
        (["b", "a"], None, '{"a": 1, "b": "x", "c": 2}', {"b": '"x"', "a": "1"}),
        (["id"], '{"id": 2}', None, {"id": "2"}),
        (["id"], '{"id": 2}', '{"id": 1}', {"id": "2"}),
        (["id"], None, None, {}),
        ([], None, '{"id": 1}', {}),
    ],
)
def test_the_key_of_a_row_keeps_the_order_of_its_columns(
    key_columns: list[str], recorded: str | None, image: str | None, key: dict[str, str]
) -> None:
    assert list(key_of(key_columns, recorded, image).items()) == list(key.items())
