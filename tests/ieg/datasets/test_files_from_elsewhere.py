"""WebVision trees that other programs wrote into, and images that are other files than their names say."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from common.errors import DataError, UnreadableImage, UsageError
from data.webvision import fingerprint_of, imagenet_records, list_webvision, probe_records, webvision_root
from ieg.datasets import load as datasets
from ieg.datasets import long_tail_files
from ieg.datasets.image_files import Decoder, evaluation_image, read_records, weak_image
from ieg.datasets.webvision import check_with_tfds
from ieg.settings.flags import parse_flags
from preprocess.webvision_mini import decode_one, label_counts
from tests import foreign_entries
from tests.damages import claim_more_pixels
from tests.ieg.photographs import WNIDS

SIZE = 32
IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize((60, 48), 3)
OTHER = Image.new("RGB", (60, 48))


@pytest.fixture
def data(tmp_path):
    """A tree of one small image a class and split."""
    for split in ("train", "val"):
        for wnid in WNIDS:
            folder = webvision_root(tmp_path) / split / wnid
            folder.mkdir(parents=True)
            IMAGE.save(folder / f"{wnid}_0.jpg")
    return tmp_path


def describe(data):
    return datasets.describe(parse_flags(["--dataset=webvisionmini", "--method=supervised", f"--dataset_dir={data}"]))


def write_kinds(folder):
    grey = Image.fromarray(np.asarray(IMAGE.convert("L")).astype(np.uint16) * 257)
    writers = {
        "animated": lambda path: IMAGE.save(path, "GIF", save_all=True, append_images=[OTHER]),
        "still": lambda path: IMAGE.save(path, "GIF"),
        "camera": lambda path: IMAGE.save(path, "MPO", save_all=True, append_images=[OTHER]),
        "web": lambda path: IMAGE.save(path, "WEBP"),
        "tiff": lambda path: IMAGE.save(path, "TIFF"),
        "deep": lambda path: grey.save(path, "PNG"),
        "bitmap": lambda path: IMAGE.save(path, "BMP"),
        "cmyk": lambda path: IMAGE.convert("CMYK").save(path, "JPEG"),
        "plain": lambda path: IMAGE.save(path, "JPEG"),
    }
    for name, write in writers.items():
        write(folder / f"{name}.jpg")
    return [str(folder / f"{name}.jpg") for name in writers]


def test_what_other_programs_left_is_neither_class_nor_image(data, caplog):
    before = fingerprint_of(*list_webvision(data))
    for split in ("train", "val"):
        folder = webvision_root(data) / split
        foreign_entries.leave(folder, folder / WNIDS[3] / f"{WNIDS[3]}_0.jpg")
    with caplog.at_level(logging.WARNING):
        train, val = list_webvision(data)
        list_webvision(data)
    assert fingerprint_of(train, val) == before
    (said,) = [record.message for record in caplog.records if "another program" in record.message]
    assert f"{2 * foreign_entries.COUNT} files or folders" in said
    check_with_tfds(data, train, val)
    assert describe(data).num_images == 50


@pytest.mark.parametrize("named", [True, False])
def test_what_the_check_accepts_trains(tmp_path, named):
    files = write_kinds(tmp_path)
    assert [decode_one(file)[1] for file in files] == [""] * len(files)
    decoder = Decoder(evaluation_image, SIZE)
    content = [Path(file).read_bytes() for file in files]
    elements = {"file": np.array(files)} if named else {"encoded": np.array(content, object)}
    found = decoder(elements)
    assert found.shape == (len(files), SIZE, SIZE, 3)
    np.testing.assert_array_equal(found, decoder(elements))  # the second time it is known which are odd
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)  # both GIFs, to the last bit the same first frame
    for place in (0, 1, 2, 3, 4, 6, 7):
        assert np.abs(found[place] - found[-1]).mean() < 0.1, files[place]
    assert np.abs(found[5] - found[-1].mean(-1, keepdims=True)).mean() < 0.2
    assert {Path(file).stem for file in decoder.refused} == ({"animated", "web", "tiff", "bitmap"} if named else set())


def test_draws_go_with_their_images(tmp_path):
    files = write_kinds(tmp_path)
    draws = {"seed": np.arange(2 * len(files), dtype=np.int32).reshape(-1, 2), "flip": np.arange(len(files)) % 2 == 0}
    decoder = Decoder(weak_image, SIZE)
    together = decoder({"file": np.array(files), **draws})
    for k in (0, 4, 8):
        alone = decoder({"file": np.array(files[k : k + 1]), **{name: draw[k : k + 1] for name, draw in draws.items()}})
        np.testing.assert_array_equal(together[k], alone[0])


def test_damaged_files_are_named(data, tmp_path):
    path = webvision_root(data) / "train" / WNIDS[7] / f"{WNIDS[7]}_0.jpg"
    claim_more_pixels(path)
    with pytest.raises(DataError, match=rf"1 of 100 files .*{path.name} \(Image size \(400000000 pixels\) exceeds"):
        describe(data)
    assert "exceeds limit" in decode_one(str(path))[1]
    with pytest.raises(UnreadableImage, match=rf"{path.name} cannot be read .*webvision_mini --decode"):
        Decoder(evaluation_image, SIZE)({"file": np.array([str(path)])})
    Image.new("RGB", (60, 1)).save(path)
    with pytest.raises(DataError, match=rf"{path.name} \(a side of one pixel\)"):
        describe(data)
    with pytest.raises(UnreadableImage, match=rf"{path.name} cannot be used .*move it away"):
        Decoder(evaluation_image, SIZE)({"file": np.array([str(path)])})
    path.unlink()
    with pytest.raises(UnreadableImage, match=rf"{path.name} cannot be read as an image \(No such file"):
        Decoder(evaluation_image, SIZE)({"file": np.array([str(path)])})


def test_sixteen_bits_are_read_alike_by_tensorflow_and_here(tmp_path):
    from common.storage.image_files import decode

    grey = np.random.default_rng(1).integers(0, 65536, (5, 6)).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    read = tf.image.decode_png((tmp_path / "a.png").read_bytes(), channels=3).numpy()
    np.testing.assert_array_equal(decode(tmp_path / "a.png"), read)


def records(path, images, shift=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for k, image in enumerate(images):
            feature = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                "image/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[k % 50 + shift])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def test_the_images_in_records_are_checked(data):
    image = (webvision_root(data) / "val" / WNIDS[0] / f"{WNIDS[0]}_0.jpg").read_bytes()
    arguments = ["--dataset=webvisionmini_1", "--method=l2r", f"--dataset_dir={data}", "--use_imagenet_as_eval"]
    records(probe_records(data, 1), [image] * 50)
    records(imagenet_records(data), [image] * 100)
    assert datasets.describe(parse_flags(arguments)).num_images == 50
    records(imagenet_records(data), [image] * 99 + [b"nothing"])
    with pytest.raises(DataError, match=r"1 of 250 files .*image 99 of .*imagenet2012-val.* \(it is none of"):
        datasets.describe(parse_flags(arguments))
    records(imagenet_records(data), [image] * 40)
    with pytest.raises(UsageError, match="holds 40 images"):
        datasets.describe(parse_flags(arguments))
    imagenet_records(data).write_bytes(b"no records")
    with pytest.raises(UsageError, match="holds 0 images"):
        datasets.describe(parse_flags(arguments))
    imagenet_records(data).write_bytes(probe_records(data, 1).read_bytes()[:-9])
    with pytest.raises(DataError, match=r"imagenet2012-val.* cannot be read"):
        datasets.describe(parse_flags(arguments))
    records(imagenet_records(data), [image] * 100, shift=-1)
    with pytest.raises(DataError, match=r"imagenet2012-val.* holds the label -1; .* 0…49"):
        datasets.describe(parse_flags(arguments))


def test_names_that_are_no_utf8_and_folders_called_like_images(data):
    folder = webvision_root(data) / "train" / WNIDS[1]
    name = "衣服.jpg".encode("gbk")
    Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes((folder / f"{WNIDS[1]}_0.jpg").read_bytes())
    (folder / "folder.jpg").mkdir()
    assert describe(data).num_images == 51
    train, _ = list_webvision(data)
    files = np.array([file for file in train.files() if WNIDS[1] in file])
    decoder = Decoder(evaluation_image, SIZE)
    found = decoder({"file": files})
    np.testing.assert_array_equal(found[0], found[1])
    Path(files[1]).write_bytes(b"")
    with pytest.raises(UnreadableImage, match="cannot be read as an image"):
        decoder({"file": files})
    Path(files[1]).unlink()
    with pytest.raises(UnreadableImage, match=r"cannot be read as an image \(No such file"):  # TensorFlow quotes it
        Decoder(evaluation_image, SIZE)({"file": files})


def test_records_whose_bytes_are_quoted_by_tensorflow(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\n\x20\xe2\x28\xa1")
    for read in (read_records, long_tail_files.read):
        with pytest.raises(DataError, match=r"a\.tfrecord cannot be read \("):
            read(path)
    assert label_counts(path) is None
