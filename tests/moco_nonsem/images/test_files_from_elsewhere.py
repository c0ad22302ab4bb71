"""Trees that other programs wrote into, and files that are other images than their names say: check and training."""

import os
import shutil
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UnreadableImage, UsageError
from moco_nonsem.images.image_files import decode, open_rgb, unreadable
from moco_nonsem.images.image_tree import describe, read_tree, readable_images, training_tree
from moco_nonsem.pretraining import program
from tests import foreign_entries
from tests.damages import claim_more_pixels
from tests.moco_nonsem.photographs import picture, write_tree
from tests.moco_nonsem.small_runs import SMALL, make_tree


def test_what_other_programs_left_is_neither_class_nor_image(tmp_path, caplog):
    clean = write_tree(tmp_path / "clean", 3, 2)
    shutil.copytree(clean, tmp_path / "train")
    foreign_entries.leave(tmp_path / "train", tmp_path / "train" / "n00000001" / "n00000001_0.JPEG")
    expected, tree = read_tree(clean), read_tree(tmp_path / "train")
    assert tree.classes == expected.classes and tree.labels.tolist() == expected.labels.tolist()
    assert [path.name for path in tree.paths] == [path.name for path in expected.paths]
    assert describe(tree, tmp_path, "train") == describe(expected, tmp_path, "train")
    read_tree(tmp_path / "train")
    (said,) = [record.message for record in caplog.records if "another program" in record.message]
    assert f"train: {foreign_entries.COUNT} files or folders" in said


def test_textures_beside_what_other_programs_left(tmp_path, caplog):
    for root, ending in (("small", ".JPEG"), ("small-texture", ".png")):
        train = write_tree(tmp_path / root / "train", 2, 2, ending)
        foreign_entries.leave(train, train / "n00000001" / f"n00000001_0{ending}")
    tree = training_tree(tmp_path / "small-texture", "texture")
    assert len(tree) == 4 == len(tree.textures or ())
    assert len([record for record in caplog.records if "another program" in record.message]) == 2


def test_check_counts_the_images_alone(tmp_path, capfd):
    root = make_tree(tmp_path / "tree")
    for part in ("train", "val"):
        foreign_entries.leave(root / part, next((root / part / "n02").glob("*.JPEG")))
    assert program.main([str(root), *SMALL, "--epochs=1", "--check"]) == 0
    out, err = capfd.readouterr()
    assert "26 images of 3 classes" in out
    assert err.count("that another program left there") == 1


def write_kinds(folder):
    """Images under wrong names, {name: Pillow's first frame}."""
    folder.mkdir(parents=True, exist_ok=True)
    image, other = picture(1), picture(2)
    grey = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x112] = 6
    writers = {
        "animated": lambda path: image.save(path, "GIF", save_all=True, append_images=[other]),
        "still": lambda path: image.save(path, "GIF"),
        "camera": lambda path: image.save(path, "MPO", save_all=True, append_images=[other]),
        "web": lambda path: image.save(path, "WEBP", save_all=True, append_images=[other]),
        "pages": lambda path: image.save(path, "TIFF"),
        "deep": lambda path: grey.save(path, "PNG"),
        "bitmap": lambda path: image.save(path, "BMP"),
        "palette": lambda path: image.convert("P").save(path, "PNG", transparency=bytes(range(256))),
        "one-bit": lambda path: image.convert("1").save(path, "PNG"),
        "cmyk": lambda path: image.convert("CMYK").save(path, "JPEG"),
        "turned": lambda path: image.save(path, "JPEG", exif=exif),
    }
    for name, write in writers.items():
        write(folder / f"{name}.JPEG")
    return [folder / f"{name}.JPEG" for name in writers]


def test_check_and_training_read_the_same_files(tmp_path):
    paths = write_kinds(tmp_path)
    assert unreadable(paths, 2) == []
    for path in paths:
        image = decode(path)
        assert image.shape == (3, 48, 60) and image.dtype == torch.uint8, path
        reference = torch.from_numpy(np.array(open_rgb(path))).permute(2, 0, 1)
        assert (image.int() - reference.int()).abs().max() <= 3, path


@pytest.mark.parametrize("loader", ["device", "reference"])
def test_what_check_accepts_trains(tmp_path, capfd, loader):
    root = make_tree(tmp_path / "tree")
    write_kinds(root / "train" / "n02")
    command = [str(root), *SMALL, "--epochs=1", f"--loader={loader}", f"--run_dir={tmp_path / 'run'}"]
    assert program.main([*command, "--check"]) == 0
    assert "37 images" in capfd.readouterr().out
    assert program.main(command) == 0, capfd.readouterr().err


def test_a_header_that_claims_too_much_is_named(tmp_path):
    tree = read_tree(write_tree(tmp_path / "train", 1, 2))
    claim_more_pixels(tree.paths[1])
    with pytest.raises(UsageError, match=r"n00000000_1\.JPEG .*exceeds limit"):
        readable_images(tree, tmp_path, "train", skip=False)
    with pytest.raises(UnreadableImage, match=r"n00000000_1\.JPEG cannot be read .*--skip-unreadable"):
        open_rgb(tree.paths[1])


def test_names_that_are_no_utf8(tmp_path):
    train = write_tree(tmp_path / "train", 2, 1)
    name = os.fsdecode("衣服.JPEG".encode("gbk"))
    shutil.copyfile(train / "n00000000" / "n00000000_0.JPEG", train / "n00000000" / name)
    tree, described = readable_images(read_tree(train), tmp_path, "train", skip=False)
    assert len(tree) == 3 and "unreadable" not in described["version"] and decode(tree.paths[1]).shape[0] == 3
    assert len(described["fingerprint"]) == 64


@pytest.mark.timeout(60)
def test_links_that_lead_back_and_pipes(tmp_path):
    train = write_tree(tmp_path / "train", 2, 1)
    (train / "n00000000" / "back").symlink_to(train)
    (train / "n00000001" / "beside").symlink_to(train / "n00000000")
    tree = read_tree(train)
    assert tree.labels.tolist() == [0, 1, 1]
    os.mkfifo(train / "n00000000" / "pipe.jpg")
    with pytest.raises(UsageError, match=r"pipe\.jpg \(it is not a file\)"):
        readable_images(read_tree(train), tmp_path, "train", skip=False)


def test_check_reads_the_neighbours(tmp_path, capfd):
    root = make_tree(tmp_path / "tree")
    command = [str(root), *SMALL, "--epochs=1", "--knn-every=1", "--check"]
    assert program.main(command) == 0
    image = sorted((root / "val" / "n02").iterdir())[1]
    image.write_bytes(image.read_bytes()[:-30])
    assert program.main(command) == 2
    assert f"1 file(s) cannot be read as images: {image} (" in capfd.readouterr().err


def test_torchvision_gets_no_gif(tmp_path, monkeypatch):
    """Of a frame that lies outside the picture, which Pillow widens then, it writes past its memory."""
    Image.new("RGB", (40, 32), "teal").save(tmp_path / "a.jpg", "GIF")
    content = bytearray((tmp_path / "a.jpg").read_bytes())
    frame = content.index(struct.pack("<cHHHH", b",", 0, 0, 40, 32))
    content[frame + 3 : frame + 5] = struct.pack("<H", 16)
    (tmp_path / "a.jpg").write_bytes(content)
    monkeypatch.setattr("moco_nonsem.images.image_files.decode_image", lambda *_: pytest.fail("torchvision reads it"))
    assert unreadable([tmp_path / "a.jpg"], 1) == []
    assert decode(tmp_path / "a.jpg").shape == (3, 48, 40)
