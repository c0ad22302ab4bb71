"""What ends a program early, and with which exit code; `common.program.guarded` turns one into the other."""

from __future__ import annotations

from collections.abc import Sequence

NAMED = 10


class UserError(Exception):
    """Something the user can put right: the value, the rule it breaks and the way out in one sentence. Exit code 2."""


class UsageError(UserError):
    """A flag, a name or a file that cannot be right, or an impossible combination of them."""


class RecordError(UserError):
    """A run folder, or a value on its way into one, breaks the rules of the run record."""


class DataError(UserError):
    """Data that is missing, damaged, unverifiable or out of reach."""


class UnreadableImage(DataError):
    """A file that is no image, or a damaged one; the message names it. why: what is wrong with it, in words."""

    why = ""


class WorkFailed(Exception):
    """The work was begun and could not be done; the message says what failed and how to continue. Exit code 1."""


class NonFiniteLoss(WorkFailed):
    """Training produced a loss that is not a number."""


class Interrupted(Exception):
    """The user stopped the program; what was done is saved. Exit code 130."""


def refuse(bad: Sequence[object], what: str, way_out: str) -> None:
    """Raises: UsageError where there is any in `bad`, naming the first ones."""
    if bad:
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise UsageError(f"{len(bad)} {what}: {', '.join(map(str, bad[:NAMED]))}{more}; {way_out}")
