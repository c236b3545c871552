"""Job Hooks for any PostgreSQL database: the public names for authors of receivers.

They are imported on first use: commands that need no receiver start sooner without them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobhooks.contract.public import *  # noqa: F403 - it defines __all__


def __getattr__(name: str) -> object:
    from jobhooks.contract import public  # noqa: PLC0415, RUF100

    if name == "__all__" or name in public.__all__:
        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    from jobhooks.contract import public  # noqa: PLC0415, RUF100

    return [*globals(), *public.__all__]
