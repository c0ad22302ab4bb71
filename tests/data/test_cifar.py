import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import DataError, UsageError
from data import registry
from data.cifar import describe_cifar, load_cifar
from data.safe_pickle import load_batch
from tests.data.helpers import members_of, write_registry
from tests.data.standin import write_cifar, write_pickle

NAMES = ["cifar10", "cifar100"]


def make_official(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Makes the files in `folder` the official ones, by a registry that has their checksums."""
    listed = registry.load_registry()[name].archives[0].members
    members = members_of({member: (folder / member).read_bytes() for member in listed})
    archive = {"file": "x.tar.gz", "kind": "tar", "addresses": ["http://x.test/"], "members": members}
    written = write_registry(tmp_path / "entries", {"name": name, "folder": folder.name, "archive": [archive]})
    monkeypatch.setattr(registry, "ENTRIES", written)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_pixels(tmp_path, name):
    folder = write_cifar(tmp_path, name, train=250, test=100)
    data = load_cifar(name, tmp_path, allow_unverified=True)
    classes = {"cifar10": 10, "cifar100": 100}[name]
    assert data.train_images.shape == (250, 32, 32, 3) and data.train_images.dtype == np.uint8
    assert data.train_labels.shape == (250,) and data.train_labels.dtype == np.int64
    assert data.test_images.shape == (100, 32, 32, 3) and data.test_labels.shape == (100,)
    assert data.num_classes == classes and data.class_names[1] == "class01"
    assert np.bincount(data.test_labels, minlength=classes).tolist() == [100 // classes] * classes
    # Pixel by pixel from the definition of the format: three planes of 32 rows of 32.
    batch = load_batch(folder / ("test_batch" if name == "cifar10" else "test"))
    for image, channel, row, column in [(0, 0, 0, 0), (3, 1, 31, 2), (99, 2, 5, 30)]:
        expected = batch[b"data"][image][1024 * channel + 32 * row + column]
        assert data.test_images[image, row, column, channel] == expected


def test_batches_are_joined_in_order(tmp_path):
    folder = write_cifar(tmp_path, "cifar10", train=[3, 1, 4, 2, 5], test=2)
    data = load_cifar("cifar10", folder, allow_unverified=True)
    parts = [load_batch(folder / f"data_batch_{i}")[b"labels"] for i in range(1, 6)]
    assert [len(part) for part in parts] == [3, 1, 4, 2, 5]
    assert data.train_labels.tolist() == [label for part in parts for label in part]


@pytest.mark.parametrize("name", NAMES)
def test_official_files_carry_the_official_name(tmp_path, monkeypatch, name):
    folder = write_cifar(tmp_path, name, train=20, test=10)
    make_official(folder, name, monkeypatch, tmp_path)
    for place in (tmp_path, folder, str(folder)):
        data = load_cifar(name, place)
        assert (data.name, data.version) == (name, "official")
        assert describe_cifar(name, place) == (data.name, data.version, data.fingerprint)


def test_the_fingerprint_is_what_it_is_said_to_be(tmp_path):
    folder = write_cifar(tmp_path, "cifar100", train=20, test=10)
    lines = "".join(f"{n}:{hashlib.sha256((folder / n).read_bytes()).hexdigest()}\n" for n in ("meta", "test", "train"))
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert describe_cifar("cifar100", folder, True) == ("cifar100-standin", "unverified", expected)


def test_other_files_are_refused_and_the_first_is_named(tmp_path, monkeypatch):
    folder = write_cifar(tmp_path, "cifar10", train=20, test=10)
    make_official(folder, "cifar10", monkeypatch, tmp_path)
    with open(folder / "data_batch_3", "ab") as stream:
        stream.write(b"\0")
    for call in (load_cifar, describe_cifar):
        with pytest.raises(UsageError, match=r"data_batch_3 is not the official cifar10 .*--allow_unverified"):
            call("cifar10", tmp_path)
    assert load_cifar("cifar10", tmp_path, allow_unverified=True).name == "cifar10-standin"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"cifar10-jpeg\n", "cifar10-jpeg"),
        (b"  my set/../x y \n", "my-set-..-x-y"),
        (b"\xff\xfe" + ("a" * 100).encode("utf-16-le"), "a" * 64),
        (b"cifar10", None),
        (b"cifar100\n", None),
        (b"///", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_name_of_unofficial_files(tmp_path, content, expected):
    folder = write_cifar(tmp_path, "cifar10", train=10, test=10)
    (folder / "NAME").unlink()
    if content is not None:
        (folder / "NAME").write_bytes(content)
    name, version, mark = describe_cifar("cifar10", folder, True)
    assert (name, version) == (expected or f"unverified-{mark[:8]}", "unverified")


def test_nothing_there(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"`make data-cifar100` or `python -m data fetch cifar100`") as caught:
        load_cifar("cifar100", tmp_path)
    assert str(tmp_path / "cifar-100-python") in str(caught.value)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(DataError, match="elsewhere"):
        describe_cifar("cifar10")
    with pytest.raises(UsageError, match="'mnist' is not read here"):
        load_cifar("mnist", tmp_path)


def test_a_member_is_missing(tmp_path):
    (write_cifar(tmp_path, "cifar10", train=10, test=10) / "data_batch_2").unlink()
    with pytest.raises(DataError, match=r"data_batch_2 cannot be read \(No such file"):
        load_cifar("cifar10", tmp_path, allow_unverified=True)


def batch(n: int = 2, **changes: object) -> dict[bytes, object]:
    content: dict[bytes, object] = {b"data": np.zeros((n, 3072), np.uint8), b"labels": [0] * n}
    return {**content, **{key.encode(): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (batch(labels=[0, 10]), "label 10 is not in 0…9"),
        (batch(labels=[0, -1]), "label -1"),
        (batch(labels=[0]), "list of 2 whole numbers"),
        (batch(labels=[0, b"1"]), "list of 2 whole numbers"),
        (batch(data=np.zeros((2, 3071), np.uint8)), r"of shape \(2, 3071\)"),
        (batch(data=np.zeros((2, 3072, 1), np.uint8)), r"of shape \(2, 3072, 1\)"),
        (batch(data=b"x"), "the images are a bytes"),
        ({b"data": np.zeros((2, 3072), np.uint8)}, "lacks the key 'labels'"),
        ({}, "lacks the key 'data'"),
    ],
)
def test_damaged_content(tmp_path, content, message):
    folder = write_cifar(tmp_path, "cifar10", train=10, test=10)
    write_pickle(folder / "data_batch_4", content)
    with pytest.raises(DataError, match=message) as caught:
        load_cifar("cifar10", tmp_path, allow_unverified=True)
    assert "data_batch_4" in str(caught.value)


def test_float_images_truncation_and_wrong_class_names(tmp_path):
    folder = write_cifar(tmp_path, "cifar10", train=10, test=10)
    floats = batch(data=np.zeros((2, 3072), np.float32))
    (folder / "data_batch_5").write_bytes(pickle.dumps(floats, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_5 .*an array of f4, only u1, .* are allowed"):
        load_cifar("cifar10", folder, allow_unverified=True)
    (folder / "data_batch_5").write_bytes((folder / "data_batch_4").read_bytes()[:-3])
    with pytest.raises(DataError, match="data_batch_5 is not a readable CIFAR batch"):
        load_cifar("cifar10", folder, allow_unverified=True)
    write_pickle(folder / "batches.meta", {b"label_names": [b"cat"] * 10})
    with pytest.raises(DataError, match="names 1 classes, there must be 10"):
        load_cifar("cifar10", folder, allow_unverified=True)


def test_the_stand_in_is_reproducible_and_can_be_learnt(tmp_path):
    one = load_cifar("cifar10", write_cifar(tmp_path / "a", train=400, test=100, seed=3), allow_unverified=True)
    two = load_cifar("cifar10", write_cifar(tmp_path / "b", train=400, test=100, seed=3), allow_unverified=True)
    other = load_cifar("cifar10", write_cifar(tmp_path / "c", train=400, test=100, seed=4), allow_unverified=True)
    assert one.fingerprint == two.fingerprint != other.fingerprint
    means = np.stack([one.train_images[one.train_labels == label].mean(axis=0) for label in range(10)])
    distances = ((one.test_images[:, None] - means[None]) ** 2).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == one.test_labels).mean() > 0.9


def test_the_real_images_that_went_through_jpeg(shared_data, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow to decode the real images")
    import io
    import lzma

    index = np.load(shared_data / "cifar10-jpeg" / "index.npz")
    sizes, labels = index["sizes"], index["train_labels"].tolist()
    taken = 500
    with lzma.open(shared_data / "cifar10-jpeg" / "images.bin.xz") as stream:
        decoded = [np.asarray(image.open(io.BytesIO(stream.read(int(size)))).convert("RGB")) for size in sizes[:taken]]
    folder = write_cifar(tmp_path, "cifar10", train=taken, test=10, label="cifar10-jpeg")
    planes = np.stack(decoded).transpose(0, 3, 1, 2).reshape(taken, 3072)
    for i in range(5):
        part = slice(100 * i, 100 * (i + 1))
        write_pickle(folder / f"data_batch_{i + 1}", {b"data": planes[part], b"labels": labels[:taken][part]})
    with pytest.raises(UsageError, match="is not the official cifar10"):
        load_cifar("cifar10", tmp_path)
    data = load_cifar("cifar10", tmp_path, allow_unverified=True)
    assert (data.name, data.version) == ("cifar10-jpeg", "unverified")
    np.testing.assert_array_equal(data.train_images, np.stack(decoded))
    assert data.train_labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # the official order begins so


@pytest.mark.parametrize("protocol", [2, 5])
def test_batches_written_again_by_python_3(tmp_path, protocol):
    """Text for keys and arrays for labels, as many programs save them."""
    folder = write_cifar(tmp_path, train=50, test=20)
    before = load_cifar("cifar10", tmp_path, allow_unverified=True)
    for path in (path for path in folder.iterdir() if path.name != "NAME"):
        content: dict[str, Any] = {key.decode(): value for key, value in load_batch(path).items()}
        if "labels" in content:
            content["labels"] = np.array(content["labels"])
        else:
            content["label_names"] = [name.decode() for name in content["label_names"]]
        path.write_bytes(pickle.dumps(content, protocol))
    after = load_cifar("cifar10", tmp_path, allow_unverified=True)
    np.testing.assert_array_equal(after.train_images, before.train_images)
    np.testing.assert_array_equal(after.train_labels, before.train_labels)
    np.testing.assert_array_equal(after.test_labels, before.test_labels)
    assert after.class_names == before.class_names and after.train_labels.dtype == np.int64
