"""What a run record says of the process that writes it. Standard library only."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parent.parent.parent)
COMMIT = "packed_commit.json"  # in a copy of the code that is no repository: what `git_state` said of it
ENVIRONMENT_STAMP = "lock.sha256"  # environments/build.py leaves it in the environment it built


def ask_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Asks git about this repository, whoever it belongs to. Raises: OSError where there is no git."""
    # This code runs already: to read its own history adds no trust in whoever owns the checkout. Variables that a hook
    # or another project left would name another repository; a status needs no lock, which a read-only one cannot give.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "-C", ROOT, *arguments],
        env=environment | {"GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )


def is_repository() -> bool:
    """Whether git tells of the code's history."""
    try:
        return not ask_git("rev-parse", "--git-dir").returncode
    except OSError:
        return False


def git_state() -> dict[str, Any]:
    """Commit of the code that runs and whether it was changed since; both None outside a repository.

    Where there is a repository, and git does not tell, a warning says why.
    """
    packed = Path(ROOT) / COMMIT
    if packed.is_file():  # the copy may lie within another repository
        return json.loads(packed.read_text(encoding="utf-8"))
    try:
        asked = [ask_git("rev-parse", "HEAD"), ask_git("status", "--porcelain")]
        said = next((answer.stderr.strip() for answer in asked if answer.returncode), "")
    except OSError as error:
        asked, said = [], f"git cannot be started ({error.strerror})"
    if asked and not any(answer.returncode for answer in asked):
        return {"commit": asked[0].stdout.strip(), "dirty": bool(asked[1].stdout.strip())}
    if os.path.exists(os.path.join(ROOT, ".git")):
        reason = (said.splitlines() or ["it gives no reason"])[0]
        logging.warning("the record names no commit of %s: %s", ROOT, reason)
    return {"commit": None, "dirty": None}


def environment_lock() -> str | None:
    """Hash of the lock this environment was built from; None where environments/build.py did not build it."""
    try:
        return (Path(sys.prefix) / ENVIRONMENT_STAMP).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    # getrusage would also count the parent's memory at the moment of the fork; the kernel's own mark does not.
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
