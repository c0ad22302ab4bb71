"""How far a long job is, and when it will be done: a bar on a terminal, a line a minute in a log."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress_bar(total: int, what: str, done: int = 0) -> tqdm:
    """A bar with rate and time left on stderr. done: what an earlier run has done, not counted in the rate."""
    return tqdm(
        total=total, initial=done, unit="image", desc=what, mininterval=0.5 if sys.stderr.isatty() else 60, leave=True
    )
