"""From errors to exit codes: the frame around the work of every program."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from common.environment import leads, settle
from common.errors import Interrupted, UserError, WorkFailed, explained
from common.foreign_text import shortened, visible

FAILURES = (WorkFailed, OSError)


def guarded(
    work: Callable[[], int | None],
    if_stopped: str,
    *,
    leads: bool = True,
    failures: tuple[type[Exception], ...] = FAILURES,
    places: str = "",
) -> int:
    """Runs `work`, says in one sentence on stderr why it ended early, and returns the program's exit code.

    work gives its own exit code, or nothing for 0; if_stopped: said after a Ctrl-C that `work` did not answer itself;
    leads: whether this process is the one that prints; failures: what ends with 1 (a UserError among them too);
    places: the flags that say where files are written.
    Returns: 0 done, 1 the work failed, 2 a mistake of the user, 130 stopped by the user.
    """
    settle()
    try:
        return work() or 0
    except failures as error:
        code, said = 1, f"error: {explained(error, places) if isinstance(error, OSError) else error}"
    except MemoryError as error:
        code, said = 1, f"error: there is not enough memory ({error or 'no size is known'})"
    except UserError as error:
        code, said = 2, f"error: {error}"
    except Interrupted as stop:
        code, said = 130, str(stop)
    except KeyboardInterrupt:
        code, said = 130, if_stopped
    if leads:
        print(shortened(visible(said)), file=sys.stderr)
    return code


def guarded_training(work: Callable[[], int], if_stopped: str, places: str = "") -> int:
    """As `guarded`, with a log on stderr, for one of the processes that torchrun started: the first one prints."""
    first = leads()
    start_log(logging.INFO if first else logging.ERROR)
    return guarded(work, if_stopped, leads=first, places=places)


def start_log(level: int = logging.INFO) -> None:
    """Messages of this level and above go to stderr, a line each."""
    logging.basicConfig(level=level, format="%(levelname)s: %(message)s", force=True)


def printed(work: Callable[[], int]) -> int:
    """What `work` returns; 0 when the reader of its output, `head` for one, has seen enough."""
    try:
        return work()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
