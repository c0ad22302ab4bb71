"""The folder that is carried to a machine with a GPU."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from common.errors import DataError, UsageError
from data.cifar import load_cifar
from reproduce.gpu import packing
from reproduce.gpu.jpeg_images import IMAGES, INDEX, decode, encode
from tests.data.standin import write_cifar

SHARED = Path(os.environ.get("SHARED_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
REAL = pytest.mark.skipif(
    not (SHARED / "cifar10-jpeg").is_dir(), reason=f"needs the images in {SHARED}, see SHARED_DATA"
)


@pytest.fixture
def data(tmp_path):
    """A small CIFAR-10 and three files of labels."""
    folder = tmp_path / "data"
    write_cifar(folder, train=100, test=30)
    labels = folder / "label_noisy" / "cifar10"
    labels.mkdir(parents=True)
    for noise in packing.NOISES:
        (labels / f"{noise}0.4.csv").write_text("label,label_noisy\n")
    return folder


def test_images_come_back_in_their_order_and_close_to_what_they_were(data, tmp_path):
    before = load_cifar("cifar10", data, allow_unverified=True)
    encode(before, tmp_path / "jpegs")
    decode(tmp_path / "jpegs", tmp_path / "again")
    after = load_cifar("cifar10", tmp_path / "again", allow_unverified=True)
    assert after.name == "cifar10-jpeg"
    assert after.class_names == before.class_names
    for name in ("train", "test"):
        ours, theirs = getattr(after, f"{name}_images"), getattr(before, f"{name}_images")
        assert np.array_equal(getattr(after, f"{name}_labels"), getattr(before, f"{name}_labels"))
        assert np.abs(ours.astype(int) - theirs).mean() < 12
        others = np.abs(ours.astype(int) - np.roll(theirs, 1, axis=0)).mean()
        assert others > 2 * np.abs(ours.astype(int) - theirs).mean()


def test_a_folder_holds_code_data_and_the_commit(data, tmp_path):
    size = packing.pack(tmp_path / "packed", data, None, None, None)
    assert 0 < size < packing.LARGEST
    names = {str(path.relative_to(tmp_path / "packed")) for path in (tmp_path / "packed").rglob("*") if path.is_file()}
    assert {"re_sln/train_cifar.py", "reproduce/__main__.py", "benchmarks/sln.py", "packed_commit.json"} <= names
    assert not [name for name in names if name.startswith(("ieg/", "tests/", ".git"))]
    assert set(json.loads((tmp_path / "packed" / "packed_commit.json").read_text())) == {"commit", "dirty"}
    unpacked = packing.unpack(tmp_path / "packed", None)
    assert load_cifar("cifar10", unpacked, allow_unverified=True).name == "cifar10-jpeg"
    assert (unpacked / "label_noisy" / "cifar10" / "sym0.4.csv").is_file()
    (unpacked / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"left as it is")
    packing.unpack(tmp_path / "packed", None)
    assert (unpacked / "cifar-10-batches-py" / "data_batch_1").read_bytes() == b"left as it is"


def test_what_cannot_be_packed(data, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="is there already"):
        packing.pack(data, data, None, None, None)
    with pytest.raises(DataError, match=f"{IMAGES} is not here"):
        packing.pack(tmp_path / "packed", data, tmp_path, None, None)
    (data / "cifar-10-batches-py" / "NAME").write_text("cifar10-jpeg\n")
    with pytest.raises(UsageError, match="went through JPEG once already"):
        packing.pack(tmp_path / "packed", data, None, None, None)
    (data / "cifar-10-batches-py" / "NAME").write_text("another\n")
    monkeypatch.setattr(packing, "LARGEST", 1000)
    with pytest.raises(UsageError, match="leave out the photographs"):
        packing.pack(tmp_path / "packed", data, None, None, None)
    assert not (tmp_path / "packed").exists()


def test_photographs_go_along_up_to_a_number(data, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "MOST_PHOTOGRAPHS", 2)
    (tmp_path / "photographs" / "a").mkdir(parents=True)
    for name in ("1.JPEG", "2.jpg", "3.jpeg", "4.txt"):
        (tmp_path / "photographs" / "a" / name).write_bytes(b"photograph")
    packing.pack(tmp_path / "packed", data, None, None, tmp_path / "photographs")
    assert sorted(path.name for path in (tmp_path / "packed" / "packed" / "photographs").iterdir()) == [
        "1.JPEG",
        "2.jpg",
    ]


def test_without_a_packed_folder_the_data_are_where_they_always_are(tmp_path):
    assert packing.unpack(tmp_path, tmp_path / "mine") == tmp_path / "mine"
    assert packing.unpack(tmp_path, None).name in ("cache", Path(os.environ.get("DATA_DIR", "cache")).name)


def test_damaged_images_are_one_sentence(tmp_path):
    (tmp_path / IMAGES).write_bytes(b"no xz")
    np.savez(tmp_path / INDEX, sizes=np.array([1]), train_labels=np.array([1]), test_labels=np.array([], int))
    with pytest.raises(DataError, match="does not hold CIFAR-10 as JPEG files"):
        decode(tmp_path, tmp_path / "out")


@REAL
def test_the_real_images_fit(data, tmp_path):
    labels = SHARED / "sln-label-noise" / "CIFAR10"
    size = packing.pack(tmp_path / "packed", data, SHARED / "cifar10-jpeg", labels, None)
    assert 18e6 < size < packing.LARGEST / 2
