"""``self.user``, ``self.request`` and ``self.job_result`` of a receiver: the cause of a run, and its name."""

from dataclasses import dataclass
from typing import NoReturn, Protocol


class ChangeOrigin(Protocol):
    """The part of a change that says where it comes from."""

    @property
    def user_name(self) -> str: ...
    @property
    def request_id(self) -> str | None: ...
    @property
    def depth(self) -> int: ...


@dataclass(frozen=True)
class User:
    """The user who made the change, as the application named it, else the session's role. The text is the name."""

    username: str

    def __str__(self) -> str:
        return self.username

    def has_perm(self, permission: str) -> NoReturn:
        """Refuse to guess: a change names its user, and the database has no permissions of applications.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"has_perm({permission!r}): jobhooks knows the name of a user and no permissions. Query your own tables"
            " with self.connection"
        )


@dataclass(frozen=True)
class Request:
    """The request that made the change. ``id``: as the application set it in jobhooks.request_id, else null."""

    id: str | None
    user: User


@dataclass(frozen=True)
class RunIdentity:
    """The result that this run will have. ``id``: the change, the hook and the attempt; ``name``: the hook's."""

    id: str
    name: str
    user: User
    request_id: str | None

    @property
    def pk(self) -> str:
        """The same as ``id``."""
        return self.id

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


def user_of(change: ChangeOrigin | None) -> User:
    """The user of a change; without a name if no change is known."""
    return User("" if change is None else change.user_name)
