import errno
import logging

import numpy as np
import pytest

from common.errors import UsageError
from ieg.checkpoints import checkpoint
from ieg.checkpoints.checkpoint import Checkpoint


def make(step):
    random = np.random.default_rng(step)
    arrays = {
        "parameters:a/kernel": random.normal(size=(30, 40)).astype(np.float32),
        "example_weights": np.full(3, np.nan),
    }
    return Checkpoint(step, arrays, {"tally": {"loss/net": [0.1 + step, 3]}, "scores": {}})


def same(one, two):
    assert one.step == two.step
    assert one.meta == two.meta
    assert one.arrays.keys() == two.arrays.keys()
    for name in one.arrays:
        assert one.arrays[name].tobytes() == two.arrays[name].tobytes()


def test_round_trip_bit_for_bit_and_two_are_kept(tmp_path):
    assert checkpoint.newest(tmp_path / "absent") is None
    for step in (5, 10, 15):
        checkpoint.save(tmp_path, make(step))
    assert checkpoint.FILES.steps(tmp_path) == [10, 15]
    same(checkpoint.newest(tmp_path), make(15))
    same(checkpoint.newest(tmp_path, restore_step=10), make(10))
    with pytest.raises(UsageError, match=r"restore_step=5.*\[10, 15\]"):
        checkpoint.newest(tmp_path, restore_step=5)


def truncate(data):
    return data[: len(data) // 2]


def flip_a_bit(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, lambda data: b"", lambda data: b"\0" * len(data)])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, damage, caplog):
    for step in (5, 10):
        checkpoint.save(tmp_path, make(step))
    path = checkpoint.FILES.path(tmp_path, 10)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        same(checkpoint.newest(tmp_path), make(5))
    assert "checkpoint_00000010.npz is damaged" in caplog.text
    path = checkpoint.FILES.path(tmp_path, 5)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UsageError, match="no checkpoint"):
        checkpoint.newest(tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, make(5))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, make(10))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint_00000005.npz"]
    same(checkpoint.newest(tmp_path), make(5))
