"""What other programs left in a folder is neither a class nor an image, and is said once."""

import logging
import os
import subprocess
import sys

import pytest

from common.storage.data_folders import entries, files_below, is_foreign, remove_leftovers, say_left_out
from common.storage.files import atomic_path

FOREIGN = [
    ".DS_Store", "._a.jpg", ".ipynb_checkpoints", ".Trash-1000", ".AppleDouble", ".a.jpg.swp", ".#a.jpg", ".a.1.tmp",
    "@eaDir", "@EADIR", "@Recycle", "#recycle", "#a.jpg#", "a.jpg~", "~$a.jpg", "__MACOSX", "lost+found", "Thumbs.db",
    "thumbs.DB", "desktop.ini", "$RECYCLE.BIN", "System Volume Information", "Icon\r", "__pycache__",
]  # fmt: skip
OWN = ["n01440764", "0", "a.jpg", "a~b.jpg", "NAME", "#1.jpg", "#", "$1.jpg", "@home", "recycled", "lost", "macosx"]


@pytest.mark.parametrize("name", FOREIGN)
def test_names_of_other_programs(name):
    assert is_foreign(name)


@pytest.mark.parametrize("name", OWN)
def test_names_of_data(name):
    assert not is_foreign(name)


def test_a_tree_is_walked_without_them(tmp_path):
    for place in (
        "b/2.JPG",
        "a/1.jpg",
        "a/@eaDir/1.jpg/THUMB.jpg",
        "a/._1.jpg",
        "a/notes.txt",
        "Thumbs.db",
        ".x/3.jpg",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    left_out: list[str] = []
    assert [entry.name for entry in entries(tmp_path, left_out)] == ["a", "b"]
    assert sorted(os.path.relpath(name, tmp_path) for name in left_out) == [".x", "Thumbs.db"]
    left_out = []
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, (".jpg",), left_out)]
    assert found == ["a/1.jpg", "b/2.JPG"]
    assert sorted(os.path.relpath(name, tmp_path) for name in left_out) == [".x", "Thumbs.db", "a/._1.jpg", "a/@eaDir"]


def test_it_is_said_once(tmp_path, caplog):
    names = [str(tmp_path / f".{k}") for k in range(7)]
    with caplog.at_level(logging.WARNING):
        say_left_out(tmp_path, [])
        say_left_out(tmp_path, names)
        say_left_out(tmp_path, reversed(names))
    (record,) = caplog.records
    assert f"{tmp_path}: 7 files or folders that another program left there" in record.message
    assert "(.0, .1, .2, .3, .4, …)" in record.message


def test_half_written_files_of_dead_processes_are_removed(tmp_path):
    script = "import os, sys, common.storage.files as files\nwith files.atomic_path(sys.argv[1]) as path:\n"
    script += "    path.write_text('half')\n    os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.json")], check=False)
    (leftover,) = tmp_path.iterdir()
    (tmp_path / ".user.tmp").touch()
    (tmp_path / ".other.1.tmp").touch()  # process 1 is alive
    with atomic_path(tmp_path / "mine") as path:
        path.touch()
        remove_leftovers(tmp_path)
        assert path.exists() and not leftover.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.1.tmp", ".user.tmp", "mine"]
