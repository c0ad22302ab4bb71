from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.storage.files import atomic_path, atomic_write


def test_writes_text_and_bytes(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == "é".encode()
    atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic_write(tmp_path / "a", "old")

    def half_then_full(path: Path, data: bytes) -> int:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_then_full)
    with pytest.raises(OSError, match="No space left"):
        atomic_write(tmp_path / "a", "new and longer")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_kernel_refusing_more_bytes_leaves_the_old_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "old")
    program = (
        "import resource, signal, sys; from common.records.record import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "atomic_write(sys.argv[1], b'x' * 5000)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "old")
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a") as temporary:
        temporary.with_name("no such folder").joinpath("b").write_text("ne")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_killed_writer_leaves_one_of_the_whole_files(tmp_path: Path) -> None:
    size = 3_000_000
    program = (
        "import sys; from common.records.record import atomic_write\n"
        f"while True:\n    for c in (b'a', b'b'): atomic_write(sys.argv[1], c * {size})"
    )
    target = tmp_path / "a"
    for attempt in range(4):
        process = subprocess.Popen([sys.executable, "-c", program, target])
        while not target.exists():
            time.sleep(0.01)
        time.sleep(0.05 + attempt * 0.013)
        process.kill()
        process.wait()
        content = target.read_bytes()
        assert content in (b"a" * size, b"b" * size)


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_without_a_name_is_a_folder(path: str) -> None:
    with pytest.raises(IsADirectoryError):
        atomic_write(path, "x")
