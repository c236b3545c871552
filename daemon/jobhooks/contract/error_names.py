"""Names of exception classes that settings refer to: in ``Meta``, in the database, in each process."""

import re
import sys
from collections.abc import Sequence

# A module of a receivers directory has another package name each time it is loaded.
OWN_PACKAGE = re.compile(r"^jobhooks_receivers_\d+\.")
NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_error_name(value: object) -> bool:
    """Whether a value is an exception class, or could be the name of one."""
    if isinstance(value, type):
        return issubclass(value, BaseException)
    return isinstance(value, str) and NAME.fullmatch(value) is not None


def error_name(error: object) -> str:
    """The name of an exception class, with its module unless it is built in; a name stays the same."""
    if not isinstance(error, type):
        return str(error)
    module = OWN_PACKAGE.sub("", f"{error.__module__}.")
    return error.__qualname__ if module == "builtins." else f"{module}{error.__qualname__}"


def closest(error: type[BaseException], *lists: Sequence[str]) -> int | None:
    """The number of the list that names a class, or else its nearest base class; null if no list does.

    A name without a module is that of a class in any module. A name with a module can be the one that it is imported
    from (``requests.HTTPError``), not only the one where it is defined.
    """
    if not any(lists):
        return None
    imported: list[list[object]] = [[_imported(name) for name in names if "." in name] for names in lists]
    for each in error.__mro__:
        for number, names in enumerate(lists):
            if each.__name__ in names or error_name(each) in names or _is_among(each, imported[number]):
                return number
    return None


def _is_among(error: object, classes: Sequence[object]) -> bool:
    return any(error is known for known in classes)


def _imported(name: str) -> object:
    """The object of a dotted name, if its module is imported in this process, as that of a raised error is."""
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules.get(module), attribute, None)
