"""Where data lives: never relative to the current folder."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The folder that holds the `data` package."""
    return Path(__file__).resolve().parent.parent


def data_dir(given: Path | str | None = None) -> Path:
    """`given` if there is one, else `$DATA_DIR`, else `data/cache` in the repository.

    Returns an absolute path, which need not exist.
    """
    chosen = given or os.environ.get("DATA_DIR") or repo_root() / "data" / "cache"
    return Path(chosen).expanduser().absolute()
