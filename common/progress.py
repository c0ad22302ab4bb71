"""The progress bar of a training program. It is tqdm's; where that is not installed there is none."""

from __future__ import annotations

from typing import Any

try:
    from tqdm import tqdm
except ImportError:

    class tqdm:  # type: ignore[no-redef]
        """Accepts what the programs ask of tqdm, and shows nothing."""

        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> tqdm:
            return self

        def __exit__(self, *_: Any) -> None:
            pass

        def update(self, count: int = 1) -> None:
            """Nothing."""

        def set_postfix(self, values: Any) -> None:
            """Nothing."""

        @staticmethod
        def write(text: str) -> None:
            """Prints a line."""
            print(text)


__all__ = ["tqdm"]
