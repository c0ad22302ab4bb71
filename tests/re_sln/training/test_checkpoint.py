import pytest
import torch

from common.errors import UsageError
from re_sln.training import checkpoint


def content(number):
    return {
        "step": number,
        "weight": torch.full((100,), float(number)),
        "targets": None,
        "scores": {"last": {"step": 1}},
    }


def damage(path):
    """One wrong byte among the numbers."""
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"\x00\x00\x80?" * 3) if b"\x00\x00\x80?" * 3 in whole else len(whole) // 2] ^= 1
    path.write_bytes(whole)


def test_what_was_written_is_read_and_the_last_two_are_kept(tmp_path):
    for number in (3, 20, 100):
        checkpoint.save(tmp_path, number, content(number))
    assert checkpoint.FILES.steps(tmp_path) == [20, 100]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_00000020.pt", "checkpoint_00000100.pt"]
    _, found = checkpoint.newest(tmp_path)
    assert torch.equal(found.pop("weight"), torch.full((100,), 100.0))
    assert found == {"step": 100, "targets": None, "scores": {"last": {"step": 1}}}


def test_where_there_is_none(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "missing") is None
    assert checkpoint.FILES.steps(tmp_path / "missing") == []


@pytest.mark.parametrize("harm", [damage, lambda path: path.write_bytes(path.read_bytes()[:-50]),
                                  lambda path: path.write_bytes(b"")], ids=["a byte", "cut off", "empty"])  # fmt: skip
def test_a_damaged_one_gives_way_to_the_one_before(tmp_path, harm, caplog):
    checkpoint.save(tmp_path, 1, content(1))
    checkpoint.save(tmp_path, 2, content(2))
    harm(tmp_path / "checkpoint_00000002.pt")
    assert checkpoint.newest(tmp_path)[1]["step"] == 1
    assert "checkpoint_00000002.pt" in caplog.text
    harm(tmp_path / "checkpoint_00000001.pt")
    with pytest.raises(UsageError, match=r"no checkpoint in .* can be read; move the folder away"):
        checkpoint.newest(tmp_path)


def test_a_write_that_fails_leaves_the_earlier_ones(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, content(1))
    checkpoint.save(tmp_path, 2, content(2))

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "write_tensors", full)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(tmp_path, 3, content(3))
    assert checkpoint.FILES.steps(tmp_path) == [1, 2]


def test_a_file_that_would_run_code_is_not_opened(tmp_path):
    class Bad:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    torch.save({"weight": Bad()}, tmp_path / "checkpoint_00000001.pt")
    with pytest.raises(UsageError, match="can be read"):
        checkpoint.newest(tmp_path)
    assert not (tmp_path / "ran").exists()
