"""Where data lives: never relative to the current folder."""

import os
from pathlib import Path

from common.errors import UsageError


def repo_root() -> Path:
    """The folder that holds the `data` package."""
    return Path(__file__).resolve().parent.parent


def user_path(given: Path | str) -> Path:
    """A path that a user gave, `~` being a home folder. Raises UsageError where nobody of that name has one."""
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        user = Path(given).parts[0]
        raise UsageError(f"{given}: this machine knows no home folder for {user}: write the path out.") from error


def data_dir(given: Path | str | None = None) -> Path:
    """`given` if there is one, else `$DATA_DIR`, else `data/cache` in the repository.

    Returns an absolute path, which need not exist. Raises what `user_path` raises.
    """
    chosen = given or os.environ.get("DATA_DIR") or repo_root() / "data" / "cache"
    return user_path(chosen).absolute()


def runs_dir() -> Path:
    """`$RUNS_DIR`, else `runs` in the repository; absolute, need not exist. Raises what `user_path` raises."""
    return user_path(os.environ.get("RUNS_DIR") or repo_root() / "runs").absolute()
