"""Whether a place for code can be trusted: no other user may be able to write to it."""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from jobhooks.errors import Untrusted

# Files in these directories are as safe as the program itself.
PROGRAM = Path(__file__).parent.parent


def owners_of(given: Path, directory: Path) -> frozenset[int] | None:
    """The users who may own files in a receivers directory: root, the current user, and the directory's owner.

    Null for any owner: the directory comes with the program.
    """
    if given.is_relative_to(PROGRAM):
        return None
    return frozenset((0, os.geteuid(), directory.stat().st_uid))


def check_directory(given: Path, directory: Path, *, by_absolute_path: bool) -> None:
    """Refuse a directory that other users can write to, or can replace by another.

    A directory of another user is trusted if it is named by its absolute path, but not if it is merely the current
    directory. ``given``: the path that led to ``directory``.

    Raises:
        Untrusted: the message names the path, its mode, and the fix.
        OSError: it is missing, or unreadable for us.
    """
    if given.is_relative_to(PROGRAM):
        return
    status = directory.stat()
    if not by_absolute_path and status.st_uid not in (0, os.geteuid()):
        raise Untrusted(
            "it belongs to another user, so nothing in it is run", "its absolute path in receivers_path, to trust it"
        )
    _check(directory, status)
    _check_holders(_holders(given))


def read_trusted(path: Path, owners: frozenset[int] | None) -> bytes:
    """Read a file that only ``owners`` can write to. The checked file and the file that is read are the same.

    Raises:
        Untrusted: others can write to it, or it is a link into a place where they can replace files.
        OSError: it cannot be read.
    """
    if owners is not None and path.is_symlink():
        _check_holders(_holders(path))
    with path.open("rb") as file:
        check_status(path, os.fstat(file.fileno()), owners)
        return file.read()


def check_status(path: Path, status: os.stat_result, owners: frozenset[int] | None) -> None:
    """Refuse a file, or a folder in a receivers directory, of this status.

    Raises:
        Untrusted: others than ``owners`` can write to it.
    """
    if owners is None:
        return
    if status.st_uid not in owners:
        raise Untrusted(
            f"{path} belongs to user {status.st_uid}, who is neither root, nor the one who runs this, nor the owner of"
            f" its directory (mode {stat.S_IMODE(status.st_mode):04o}), so nothing of it is run",
            f"chown root {path}",
        )
    _check(path, status)


def unreadable(path: Path) -> Untrusted:
    """The error for a file or a folder that this user may not read, with the fix."""
    who = f"{path} cannot be read by the user {_user()}"
    for parent in reversed(path.parents):
        if not os.access(parent, os.X_OK, effective_ids=True):
            return Untrusted(f"{who}, who may not enter {parent}", f"chmod a+x {parent}")
    return Untrusted(who, f"chmod a+{'rx' if path.is_dir() else 'r'} {path}")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _check(path: Path, status: os.stat_result) -> None:
    who, mends = _who_else_writes(status)
    if who:
        mode = stat.S_IMODE(status.st_mode)
        raise Untrusted(
            f"{path} can be written to by {who} (mode {mode:04o}), so nothing of it is run", f"{mends} {path}"
        )


def _check_holders(holders: Iterable[Path]) -> None:
    """Refuse a path through a directory where others could rename entries.

    In a sticky directory, such as /tmp, they can rename only their files.
    """
    for holder in holders:
        status = holder.stat()
        who, mends = _who_else_writes(status)
        if who and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            raise Untrusted(
                f"{holder} can be written to by {who} (mode {mode:04o}), who could replace what is in it, so nothing of"
                " it is run",
                f"{mends} {holder}",
            )


def _holders(path: Path) -> list[Path]:
    """List the directories that an absolute path passes through, following all links."""
    holders: dict[Path, None] = {}
    followed: set[Path] = set()
    waiting = [path]
    while waiting:
        path = waiting.pop()
        for part in (path, *path.parents):
            holders[part.parent] = None
            if part not in followed and part.is_symlink():
                followed.add(part)
                waiting.append(part.parent / part.readlink() / path.relative_to(part))
    return [holder for holder in holders if holder.is_dir()]


def _who_else_writes(status: os.stat_result) -> tuple[str, str]:
    """Return who but the owner can write to something, and the command that mends it; or nothing."""
    if status.st_mode & stat.S_IWOTH:
        return "everybody", "chmod o-w" if _is_ours_alone(status) else "chmod go-w"
    return ("", "") if _is_ours_alone(status) else ("a group", "chmod g-w")


def _is_ours_alone(status: os.stat_result) -> bool:
    """Check that no group of others can write: no group, root's, or the user's private one."""
    if not status.st_mode & stat.S_IWGRP or status.st_gid == 0:
        return True
    if status.st_gid != os.getegid():
        return False
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == user and set(group.gr_mem) <= {user}
