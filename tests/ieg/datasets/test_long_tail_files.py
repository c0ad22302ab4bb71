import shutil

import numpy as np
import pytest
import tensorflow as tf

from common.errors import DataError, UsageError
from ieg.datasets import load as datasets
from ieg.datasets import long_tail_files
from ieg.settings import dataset_name
from ieg.settings.flags import parse_flags
from tests.data.standin import write_cifar


def write_records(path, images, labels):
    """As in the published files: channels first, raw bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels, strict=True):
            pixels = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.transpose(2, 0, 1).tobytes()]))
            number = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)]))
            example = tf.train.Example(features=tf.train.Features(feature={"image": pixels, "label": number}))
            writer.write(example.SerializeToString())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A stand-in of 100 images a class, and the files that class-balanced loss would have made of it at 0.1."""
    monkeypatch.setitem(dataset_name.LARGEST, "cifar10", 100)
    monkeypatch.setattr(long_tail_files, "EVAL_SIZE", 20)
    write_cifar(tmp_path, "cifar10", train=1000, test=20)
    built = datasets.load(flags(tmp_path, "--long_tail_from=cifar"))
    order = np.random.default_rng(0).permutation(len(built.train_labels))
    files = tmp_path / "imbalance" / "cifar-10-data-im-0.1"
    write_records(files / "train.tfrecords", built.train_images[order], built.train_labels[order])
    write_records(files / "eval.tfrecords", built.test_images, built.test_labels)
    return tmp_path


def flags(folder, *more, dataset="cifar10_imbal_0.1"):
    return parse_flags([f"--dataset={dataset}", f"--dataset_dir={folder}", "--allow_unverified", *more])


def test_both_ways_give_the_same_class_counts_and_images(folder):
    built, read = (datasets.load(flags(folder, f"--long_tail_from={way}")) for way in ("cifar", "tfrecords"))
    counts = [100, 77, 59, 46, 35, 27, 21, 16, 12, 10]
    assert np.bincount(built.train_labels).tolist() == np.bincount(read.train_labels).tolist() == counts
    for name in ("train", "test"):
        one, other = (sorted(image.tobytes() for image in getattr(found, f"{name}_images")) for found in (built, read))
        assert one == other
        assert len(set(one)) > 1
    np.testing.assert_array_equal(built.test_labels, read.test_labels)
    assert read.name == "cifar10_imbal_0.1_tfrecords" != built.name
    assert built.fingerprint != read.fingerprint


def test_files_are_taken_where_they_are_and_named(folder):
    described = datasets.describe(flags(folder))
    assert described.name == "cifar10_imbal_0.1_tfrecords"
    assert datasets.load(flags(folder)).fingerprint == described.fingerprint
    shutil.copytree(folder / "imbalance", folder / "nested" / "imbalance" / "imbalance")
    assert datasets.describe(flags(folder / "nested")) == described
    built = datasets.describe(flags(folder, "--long_tail_from=cifar"))
    assert built.name.endswith("-standin_imbal_0.1")
    assert datasets.load(flags(folder, "--long_tail_from=cifar")).fingerprint == built.fingerprint
    assert datasets.describe(flags(folder, dataset="cifar10_imbal_0.2")).name.endswith("-standin_imbal_0.2")


def test_files_of_another_factor_are_refused(folder):
    shutil.copytree(folder / "imbalance" / "cifar-10-data-im-0.1", folder / "imbalance" / "cifar-10-data-im-0.05")
    with pytest.raises(UsageError, match=r"403 images.*\(factor 0\.1\), but cifar10_imbal_0\.05 has"):
        datasets.describe(flags(folder, dataset="cifar10_imbal_0.05"))
    with pytest.raises(
        UsageError, match=r"no folder .*im-0\.2; .* holds cifar-10-data-im-0\.05, cifar-10-data-im-0\.1"
    ):
        datasets.describe(flags(folder, "--long_tail_from=tfrecords", dataset="cifar10_imbal_0.2"))


def test_damaged_files_are_refused(folder):
    train = folder / "imbalance" / "cifar-10-data-im-0.1" / "train.tfrecords"
    content = bytearray(train.read_bytes())
    train.write_bytes(content[:-100])
    with pytest.raises(DataError, match=r"train\.tfrecords cannot be read"):
        datasets.describe(flags(folder))
    content[5000] ^= 1
    train.write_bytes(content)
    with pytest.raises(DataError, match=r"train\.tfrecords cannot be read"):
        datasets.describe(flags(folder))
    write_records(train, np.zeros((3, 16, 16, 3), np.uint8), [0, 1, 2])
    with pytest.raises(DataError, match="3072 bytes"):
        datasets.describe(flags(folder))
    train.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        datasets.describe(flags(folder))


def test_a_test_set_of_another_size_is_refused(folder, monkeypatch):
    monkeypatch.setattr(long_tail_files, "EVAL_SIZE", 10000)
    with pytest.raises(DataError, match=r"eval\.tfrecords holds 20 images"):
        datasets.load(flags(folder))
    with pytest.raises(DataError, match=r"eval\.tfrecords holds 20 images"):
        datasets.describe(flags(folder))


@pytest.mark.parametrize("label", [-1, 100, 10**12])
def test_labels_that_no_class_has_are_refused(folder, label):
    train = folder / "imbalance" / "cifar-10-data-im-0.1" / "train.tfrecords"
    write_records(train, np.zeros((2, 32, 32, 3), np.uint8), [0, label])
    with pytest.raises(DataError, match=rf"train\.tfrecords holds labels from .*{label}"):
        datasets.describe(flags(folder))


def test_names_of_the_folders():
    name = dataset_name.parse_dataset_name
    assert long_tail_files.folder_name(name("cifar100_imbal_0.005")) == "cifar-100-data-im-0.005"
    assert long_tail_files.folder_name(name("cifar10_imbal_1_0.2")) == "cifar-10-data"
