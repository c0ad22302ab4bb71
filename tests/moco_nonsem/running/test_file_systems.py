"""Pre-training and linear evaluation on file systems that are not ext4: case 17, 18, 19, full disks."""

import errno
import threading

import pytest

from common.pytorch.event_files import event_writer
from moco_nonsem import main_lincls
from moco_nonsem.pretraining import program as pretrain_program
from tests.file_systems import check_full_disk, full_after, read_only, without_locks, without_sync_of_folders
from tests.moco_nonsem.small_runs import LINEAR, PATCH
from tests.programs import result_of


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr("moco_nonsem.running.run_folder.repo_root", lambda: tmp_path / "root")


def test_a_run_without_locks_and_without_fsync_of_folders_is_whole(tree, tmp_path, monkeypatch, capfd):
    calls = [*[without_locks(monkeypatch)], without_sync_of_folders(monkeypatch)]
    assert pretrain_program.main([*PATCH, "--epochs=1", f"--run_dir={tmp_path / 'run'}", str(tree)]) == 0
    assert result_of(tmp_path / "run")["finished"]
    assert all(calls)
    err = capfd.readouterr().err
    assert err.count("has no locks") == 1 and "error" not in err


@pytest.mark.parametrize("program", [pretrain_program, main_lincls], ids=["pretraining", "linear"])
def test_a_read_only_place_is_refused_before_images_are_read(program, tree, tmp_path, monkeypatch, capfd):
    read_only(monkeypatch, tmp_path)
    # Where it is called, by its name there: a module that is imported under the patch would keep it for good.
    monkeypatch.setattr("moco_nonsem.pretraining.run.training_tree", None)
    monkeypatch.setattr("moco_nonsem.linear_probe.run.read_tree", None)
    (tmp_path / "x.pth.tar").write_text("")
    words = [*PATCH] if program is pretrain_program else [*LINEAR, f"--pretrained={tmp_path / 'x.pth.tar'}"]
    assert program.main([*words, str(tree)]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: {tmp_path}: Permission denied")
    assert line.endswith("name another place with --run_dir, --ckpt_path or RUNS_DIR")


@pytest.mark.parametrize("call", [1, 6, 9])
def test_a_disk_that_is_full_at_any_write_ends_in_one_sentence_and_loses_nothing(
    call, tree, tmp_path, monkeypatch, capfd
):
    words = [*PATCH, "--epochs=2", "--save-freq=1", f"--run_dir={tmp_path / 'run'}", str(tree)]
    with monkeypatch.context() as patch:
        full_after(patch, call)
        assert pretrain_program.main(words) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert "the disk is full (No space left on device)" in line and "--run_dir, --ckpt_path or RUNS_DIR" in line
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert pretrain_program.main(words) == 0
    assert result_of(tmp_path / "run")["finished"]


def test_what_tensorboards_thread_meets_is_raised_and_not_printed(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    writer = event_writer(tmp_path, 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer.file_writer.event_writer._async_writer._worker._record_writer, "write", full)

    def write_much():
        for step in range(1000):
            writer.add_scalar("x", 1.0, step)
            writer.flush()

    with pytest.raises(OSError, match="No space left"):
        write_much()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_a_disk_of_half_a_megabyte(tree, tmp_path):
    words = ["moco_nonsem.moco-non-sem-neg", *PATCH, "--epochs=1", f"--run_dir={tmp_path / 'disk' / 'run'}", str(tree)]
    check_full_disk(tmp_path / "disk", "512k", " ".join(words))
