"""File systems without locks, without fsync of folders, full, read-only, failing, with short names."""

from __future__ import annotations

import errno
import logging
import os
import re
import threading
from pathlib import Path

import pytest

from common.errors import RecordError, UsageError, explained
from common.storage.files import atomic_path, atomic_write, check_writable, sync, temporary_beside
from common.storage.locks import is_running, locked, take_lock
from tests.common.records.test_record import make
from tests.file_systems import refusing, without_locks, without_sync_of_folders

PLACES = "--run_dir or RUNS_DIR"


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EPERM], ids=errno.errorcode.get)
def test_without_locks_a_run_is_written_with_one_warning(tmp_path, monkeypatch, caplog, code):
    calls = without_locks(monkeypatch, code)
    for name in ("one", "other"):
        assert not is_running(tmp_path / name)
        record = make(tmp_path / name)
        record.begin()
        assert not is_running(tmp_path / name)
        record.log(1, 1.0, {"accuracy": 0.5})
        record.finish({"accuracy": 0.5}, 1, {})
    assert len(calls) >= 4
    (line,) = caplog.messages
    assert "has no locks" in line and os.strerror(code) in line


def test_another_process_is_still_kept_out(tmp_path, monkeypatch, caplog):
    for code in (errno.EAGAIN, errno.EACCES):
        with monkeypatch.context() as patch:
            without_locks(patch, code)
            (tmp_path / "run.lock").touch()
            assert is_running(tmp_path)
            with pytest.raises(RecordError, match="another process is writing"):
                take_lock(tmp_path)
    assert caplog.messages == []


def test_a_disk_that_fails_is_no_lack_of_locks(tmp_path, monkeypatch):
    without_locks(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        take_lock(tmp_path)


def test_a_lock_is_waited_for_and_waiting_is_said_once(tmp_path, monkeypatch):
    import fcntl

    answers, said = [BlockingIOError(errno.EAGAIN, "held")] * 3, []

    def lockf(*_):
        if answers:
            raise answers.pop()

    monkeypatch.setattr(fcntl, "lockf", lockf)
    monkeypatch.setattr("common.storage.locks.POLL_SECONDS", 0)
    with locked(tmp_path / "a.lock", lambda: said.append(1)):
        assert (answers, said) == ([], [1])


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EBADF, errno.ENOTSUP], ids=errno.errorcode.get)
def test_a_folder_that_cannot_be_synced_is_no_error(tmp_path, monkeypatch, code):
    calls = without_sync_of_folders(monkeypatch, code)
    atomic_write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert len(calls) == 1


def test_a_file_that_cannot_be_synced_is_one(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")
    refusing(monkeypatch, os, "fsync", errno.EINVAL)
    with pytest.raises(OSError, match="Invalid argument"):
        atomic_write(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.ESTALE], ids=errno.errorcode.get)
def test_a_folder_whose_disk_fails_is_one(tmp_path, monkeypatch, code):
    without_sync_of_folders(monkeypatch, code)
    with pytest.raises(OSError) as raised:
        sync(tmp_path)
    assert raised.value.errno == code


@pytest.mark.parametrize("length", [100, 200, 255])
def test_a_name_of_any_length_can_be_written(tmp_path, length):
    name = "é" * (length // 2) + "x" * (length % 2)
    with atomic_path(tmp_path / name) as temporary:
        assert temporary.name.startswith(".") and temporary.name.endswith(f".{os.getpid()}.tmp")
        assert len(os.fsencode(temporary.name)) <= 255
        temporary.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_long_names_that_differ_have_other_temporary_files():
    first, second = (temporary_beside(Path("x" * 250 + end)) for end in "ab")
    assert first != second


def read_only(patch, folder, flag=os.ST_RDONLY):
    patch.setattr(os, "access", lambda path, mode: not str(path).startswith(str(folder)))
    patch.setattr(os, "statvfs", lambda path: type("Answer", (), {"f_flag": flag}))


@pytest.mark.parametrize(("flag", "said"), [(os.ST_RDONLY, "Read-only file system"), (0, "Permission denied")])
def test_a_place_that_cannot_be_written_is_refused_with_the_flags_that_name_another(tmp_path, monkeypatch, flag, said):
    read_only(monkeypatch, tmp_path, flag)
    with pytest.raises(UsageError, match=f"{tmp_path}: {said}: .*name another place with --run_dir or RUNS_DIR$"):
        check_writable(tmp_path / "runs" / "new", PLACES)
    check_writable(tmp_path.parent / "elsewhere", PLACES)


def test_a_file_where_a_folder_of_the_path_should_be_is_refused(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UsageError, match="runs: Not a directory: check the path"):
        check_writable(tmp_path / "runs" / "new", PLACES)


def test_a_dangling_link_is_refused(tmp_path):
    (tmp_path / "runs").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="runs: Not a directory"):
        check_writable(tmp_path / "runs" / "new", PLACES)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            errno.ENOSPC,
            r"/a: the disk is full \(No space left on device\): .* --run_dir or RUNS_DIR, and start the same",
        ),
        (errno.EDQUOT, r"/a: the disk is full \(Disk quota exceeded\): .* --run_dir or RUNS_DIR, and start the same"),
        (errno.EROFS, r"/a: Read-only file system: .*name another place with --run_dir or RUNS_DIR$"),
        (errno.ESTALE, r"/a: Stale file handle: the disk or the file server failed; once it is back, start the same"),
        (errno.ENAMETOOLONG, "/a: File name too long: check the path, in which each name has 255 bytes at most$"),
        (errno.ENOENT, "/a: No such file or directory: check the path and its permissions$"),
    ],
)
def test_an_error_of_the_system_is_one_sentence_with_the_way_out(code, said):
    assert re.match(said, explained(OSError(code, os.strerror(code), "/a"), PLACES))
    assert explained(OSError("another worker is gone"), PLACES) == "another worker is gone"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize("call", range(8))
def test_a_record_survives_a_disk_that_fails_at_any_write(tmp_path, monkeypatch, code, call):
    """The call-th fsync fails: every file of the record is what it was before, or what it was to be."""
    folder = tmp_path / "run"
    record = make(folder)
    record.begin()
    record.log(1, 1.0, {"accuracy": 0.5})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    left = [call]

    def fails(descriptor):
        left[0] -= 1
        return left[0] == -1

    with monkeypatch.context() as patch:
        refusing(patch, os, "fsync", code, fails)
        try:
            record.log(2, 2.0, {"accuracy": 0.6})
            record.finish({"accuracy": 0.6}, 2, {})
        except OSError as error:
            failed = error.errno
        else:
            failed = code if left[0] >= 0 else None  # it needs fewer calls
    assert failed == code
    record.interrupted()
    assert {path.name for path in folder.iterdir()} == set(before)
    assert (folder / "metrics.jsonl").read_bytes().startswith(before["metrics.jsonl"])
    again = make(folder)
    again.begin(1, saved=True)
    again.log(2, 2.0, {"accuracy": 0.6})
    again.finish({"accuracy": 0.6}, 2, {})


def test_the_warning_is_logged_not_printed(tmp_path, monkeypatch, capsys, caplog):
    without_locks(monkeypatch)
    os.close(take_lock(tmp_path))
    assert [entry.levelno for entry in caplog.records] == [logging.WARNING]
    assert capsys.readouterr().out == ""


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    """`--out /dev/null` as root would make a file of it, for everybody."""
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, "whole")
    reader.join()
    assert (got, pipe.is_fifo(), os.listdir(tmp_path)) == ([b"whole"], True, ["pipe"])
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    atomic_write(null, "nothing")
    assert null.is_symlink() and null.is_char_device()
