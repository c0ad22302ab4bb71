"""What ends a program early, and with which exit code; `common.program.guarded` turns one into the other."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

NAMED = 10
FULL = {errno.ENOSPC, errno.EDQUOT}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
GONE = {errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EREMOTEIO, errno.ETIMEDOUT, errno.EHOSTDOWN}
RESUME = "the same command, with --run_dir or --resume naming its folder, resumes the run"


class UserError(Exception):
    """Something the user can put right: the value, the rule it breaks and the way out in one sentence. Exit code 2."""


class UsageError(UserError):
    """A flag, a name or a file that cannot be right, or an impossible combination of them."""


class RecordError(UserError):
    """A run folder, or a value on its way into one, breaks the rules of the run record."""


class DataError(UserError):
    """Data that is missing, damaged, unverifiable or out of reach."""


class UnreadableImage(DataError):
    """A file that is not an image, or a damaged one; the message names it. why: what is wrong with it, in words."""

    why = ""


class WorkFailed(Exception):
    """The work was begun and could not be done; the message says what failed and how to continue. Exit code 1."""


class ProcessLost(WorkFailed):
    """A process that the work needs was killed: one that reads, or another of the group."""


class NonFiniteLoss(WorkFailed):
    """Training produced a loss that is not a number."""


class Interrupted(Exception):
    """The user stopped the program; what was done is saved. Exit code 130."""


def explained(error: OSError, places: str) -> str:
    """An error of the operating system in one sentence: where, what, and the way out. places: see `way_out`."""
    if error.errno is None:  # one of our own, with a sentence of its own
        return str(error)
    # Of a name that is too long the beginning; of what a library opened by its number, nothing.
    where = os.fsdecode(error.filename)[:200] + ": " if isinstance(error.filename, (str, bytes)) else ""
    return where + way_out(error, places)


def way_out(error: OSError, places: str) -> str:
    """What went wrong and what to do, without the file.

    places: the flags and variables that name another place for what is written; empty where there are none.
    """
    said = error.strerror or str(error)
    elsewhere = f"name another place with {places}" if places else "choose another place"
    if error.errno in FULL:
        return (
            f"the disk is full ({said}): what was saved before is kept; free some space or inodes, or {elsewhere}, and "
            "start the same command again"
        )
    if error.errno in FORBIDDEN:
        return f"{said}: change the permissions, or, if it is a place to write to, {elsewhere}"
    if error.errno in GONE:
        return f"{said}: the disk or the file server failed; once it is back, start the same command again"
    if error.errno == errno.ENAMETOOLONG:
        return f"{said}: check the path, in which each name has 255 bytes at most"
    return f"{said}: check the path and its permissions"


def refuse(bad: Sequence[object], what: str, way_out: str) -> None:
    """Raises: UsageError where there is any in `bad`, naming the first ones."""
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise UsageError(f"{len(bad)} {what}: {', '.join(map(str, bad[:NAMED]))}{more}; {way_out}")
