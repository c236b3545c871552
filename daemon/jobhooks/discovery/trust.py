"""Whether code may be run from where it is: not where somebody can write to it whom we do not trust."""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from jobhooks.errors import Untrusted

# What is in here is as safe as the program itself is.
PROGRAM = Path(__file__).parent.parent


def owners_of(given: Path, directory: Path) -> frozenset[int] | None:
    """Return the users to whom what is in a receivers directory may belong: root, us, and to whom it belongs itself.

    None: whoever it belongs to, since it comes with the program.
    """
    if given.is_relative_to(PROGRAM):
        return None
    return frozenset((0, os.geteuid(), directory.stat().st_uid))


def check_directory(given: Path, directory: Path, *, by_absolute_path: bool) -> None:
    """Refuse a directory that others can write to, or could put another in the place of.

    One that belongs to another user is trusted where it is named by its absolute path, and not where we merely stand
    beside it. ``given``: the path that led to ``directory``.

    Raises:
        Untrusted: the message names the path, its mode, and what mends it.
        OSError: it is gone, or closed to us.
    """
    if given.is_relative_to(PROGRAM):
        return
    status = directory.stat()
    if not by_absolute_path and status.st_uid not in (0, os.geteuid()):
        raise Untrusted(
            "it belongs to another user, so nothing of it is run; to trust it, name it by its absolute path"
        )
    _check(directory, status)
    _check_holders(_holders(given))


def read_trusted(path: Path, owners: frozenset[int] | None) -> bytes:
    """Return what is in a file that only ``owners`` can write to; it is looked at and read as one and the same.

    Raises:
        Untrusted: others can, or it is a link to where others could put another file.
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
            f" its directory (mode {stat.S_IMODE(status.st_mode):04o}), so nothing of it is run: chown root {path}"
        )
    _check(path, status)


def _check(path: Path, status: os.stat_result) -> None:
    who, mends = _who_else_writes(status)
    if who:
        mode = stat.S_IMODE(status.st_mode)
        raise Untrusted(f"{path} can be written to by {who} (mode {mode:04o}), so nothing of it is run: {mends} {path}")


def _check_holders(holders: Iterable[Path]) -> None:
    """Refuse what is reached through a directory in which others could rename what is there.

    In one that is sticky, as /tmp is, they can rename only what is theirs.
    """
    for holder in holders:
        status = holder.stat()
        who, mends = _who_else_writes(status)
        if who and not status.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(status.st_mode)
            raise Untrusted(
                f"{holder} can be written to by {who} (mode {mode:04o}), who could replace what is in it, so nothing of"
                f" it is run: {mends} {holder}"
            )


def _holders(path: Path) -> list[Path]:
    """Return the directories by which an absolute path leads to where it leads, through all links."""
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
    """Return whether no group of others can write: none can, or it is root's, or the one that each user has alone."""
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
