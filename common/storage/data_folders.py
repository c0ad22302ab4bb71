"""What lies in folders of data, without what file managers, network disks, notebooks and editors leave there.

Every reader of a folder of data uses this module, so that what one leaves out none takes for an image or a class.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from common.storage.files import TEMPORARY

# As Windows, macOS, Linux, and the disks of Synology and QNAP call them, in small letters. Names that begin with a dot
# (.DS_Store, ._a.jpg, .ipynb_checkpoints, .Trash-1000, .AppleDouble) need no list.
FOREIGN = {
    *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
    *("$recycle.bin", "recycler", "system volume information", "found.000", "lost+found"),
    *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder", "__pycache__"),
    *("@eadir", "@tmp", "@recycle", "@__thumb", "@sharebin", "@recently-snapshot", "#recycle", "#snapshot"),
}
NAMED = 5


def is_foreign(name: str) -> bool:
    """Whether a file or folder of this name is another program's, or a half-written file of this project's."""
    return (
        name.startswith((".", "~$"))
        or name.endswith("~")
        or (len(name) > 2 and name[0] == name[-1] == "#")
        or name.lower() in FOREIGN
    )


def entries(folder: str | os.PathLike[str], left_out: list[str]) -> list[os.DirEntry[str]]:
    """Files and folders in `folder`, by name; paths of foreign ones are added to `left_out`. Raises: OSError."""
    with os.scandir(folder) as found:
        there = sorted(found, key=lambda entry: entry.name)
    left_out += [entry.path for entry in there if is_foreign(entry.name)]
    return [entry for entry in there if not is_foreign(entry.name)]


def files_below(folder: Path, endings: Iterable[str], left_out: list[str]) -> Iterator[Path]:
    """Files below `folder` whose names end so in small letters, folder by folder; links are followed.

    Paths of foreign files and folders, and of links that lead back, are added to `left_out`; those within a foreign
    folder are not looked at.
    """
    endings = tuple(endings)
    for place, folders, names in os.walk(folder, followlinks=True):
        passed = {name for name in folders if is_foreign(name) or _leads_back(place, name)}
        left_out += [os.path.join(place, name) for name in (*passed, *filter(is_foreign, names))]
        folders[:] = sorted(set(folders) - passed)
        for name in sorted(names):
            if name.lower().endswith(endings) and not is_foreign(name):
                yield Path(place, name)


def _leads_back(place: str, name: str) -> bool:
    """Whether a link within `place` leads to a folder that `place` is in: it would be walked without end."""
    path = os.path.join(place, name)
    return os.path.islink(path) and f"{os.path.realpath(place)}/".startswith(f"{os.path.realpath(path)}/")


def say_left_out(folder: Path, left_out: Iterable[str]) -> None:
    """Logs how many foreign files and folders below `folder` were left out, once in a process."""
    if names := tuple(sorted(left_out)):
        _say(folder, names)


@cache
def _say(folder: Path, names: tuple[str, ...]) -> None:
    shown = [os.path.relpath(name, folder) for name in names[:NAMED]]
    logging.warning(
        "%s: %d files or folders that another program left there are left out (%s)",
        *(folder, len(names), ", ".join(shown) + (", …" if len(names) > NAMED else "")),
    )


def remove_leftovers(folder: Path) -> None:
    """Deletes the files in `folder` that processes were writing when they were killed."""
    for path in folder.glob(".*.tmp"):
        found = re.fullmatch(TEMPORARY, path.name)
        if found and not path.is_dir() and not _is_alive(int(found[1])):
            with contextlib.suppress(OSError):  # of a folder that is only read from
                path.unlink()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True
