"""Trees of images: what is found, and every mistake named before training."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UnreadableImage, UsageError
from moco_nonsem.images.image_files import decode
from moco_nonsem.images.image_tree import read_tree, readable_images, training_tree
from tests.moco_nonsem.photographs import picture, write_tree


@pytest.fixture
def pair(tmp_path):
    """A tree of photographs and its textures, with what the synthesis left over."""
    write_tree(tmp_path / "small" / "train", 2, 2)
    textures = write_tree(tmp_path / "small-texture" / "train", 2, 2, ".png")
    picture(9).save(textures / "n00000000" / "texture1_n00000000_0.png")
    picture(9).save(textures / "n00000000" / "texture2_n00000000_0.png")
    return tmp_path


def test_a_tree_is_read_in_order_with_links_and_several_endings(tmp_path):
    train = write_tree(tmp_path / "train", 3, 2)
    picture(1).save(train / "n00000001" / "a.jpg")
    (train / "n00000001" / "notes.txt").write_text("no image")
    (train / "n00000001" / "deep").mkdir()
    picture(1).save(train / "n00000001" / "deep" / "b.PNG")
    (train / "linked").symlink_to(train / "n00000000")
    tree = read_tree(train)
    assert tree.classes == ("linked", "n00000000", "n00000001", "n00000002")
    assert np.bincount(tree.labels).tolist() == [2, 2, 4, 2] and len(tree) == 10
    assert [path.name for path in tree.paths[4:8]] == ["a.jpg", "b.PNG", "n00000001_0.JPEG", "n00000001_1.JPEG"]
    assert tree.textures is None


def test_empty_classes_are_named(tmp_path):
    train = write_tree(tmp_path / "train", 2, 2)
    (train / "n05").mkdir()
    (train / "n05" / "notes.txt").write_text("no image")
    (train / "n06").mkdir()
    with pytest.raises(UsageError, match=r"2 class folder\(s\) without an image .*n05, .*n06; fill them"):
        read_tree(train)


def test_a_folder_that_is_not_there_or_has_no_classes(tmp_path):
    with pytest.raises(UsageError, match="train is missing"):
        training_tree(tmp_path, "patch")
    (tmp_path / "train").mkdir()
    with pytest.raises(UsageError, match="holds no folder"):
        training_tree(tmp_path, "none")


def test_unreadable_files_are_named_or_skipped_and_counted(tmp_path):
    train = write_tree(tmp_path / "train", 2, 3)
    cut = train / "n00000000" / "n00000000_1.JPEG"
    cut.write_bytes(cut.read_bytes()[:-400])
    (train / "n00000001" / "n00000001_2.JPEG").write_bytes(b"")
    tree = read_tree(train)
    with pytest.raises(UsageError, match=r"2 file\(s\) .*n00000000_1.JPEG \(.*n00000001_2.JPEG \(.*--skip-unreadable"):
        readable_images(tree, tmp_path, "train", skip=False)
    left, described = readable_images(tree, tmp_path, "train", skip=True)
    assert (
        described["version"] == "train: 4 images of 2 classes, 2 unreadable ones left out"
        and len(left) == 4
        and left.labels.tolist() == [0, 0, 1, 1]
    )
    assert cut not in left.paths and left.classes == tree.classes
    with pytest.raises(UnreadableImage, match=r"n00000000_1.JPEG cannot be read as an image"):
        decode(cut)


def test_a_tree_of_which_nothing_can_be_read(tmp_path):
    train = write_tree(tmp_path / "train", 1, 2)
    for path in read_tree(train).paths:
        path.write_bytes(b"nothing")
    with pytest.raises(UsageError, match="none of the 2 images can be read"):
        readable_images(read_tree(train), tmp_path, "train", skip=True)


def test_two_photographs_of_one_name_have_one_texture(pair):
    (path,) = (pair / "small" / "train" / "n00000001").glob("n00000001_0.*")
    shutil.copy(path, path.with_suffix(".png"))
    with pytest.raises(UsageError, match=r"1 photograph\(s\) with the name of another but for its ending"):
        training_tree(pair / "small-texture", "texture")


def test_textures_mirror_photographs(pair):
    tree = training_tree(pair / "small-texture", "texture")
    textures = tree.textures or ()
    assert [path.relative_to(pair).as_posix() for path in tree.paths[:2]] == [
        "small/train/n00000000/n00000000_0.JPEG",
        "small/train/n00000000/n00000000_1.JPEG",
    ]
    assert [path.relative_to(pair).as_posix() for path in textures[2:]] == [
        "small-texture/train/n00000001/n00000001_0.png",
        "small-texture/train/n00000001/n00000001_1.png",
    ]
    textures[3].write_bytes(b"no image")
    left, described = readable_images(tree, pair, "train", skip=True)
    assert ", 1 unreadable" in described["version"] and left.paths == tree.paths[:3] and left.textures == textures[:3]


def test_the_texture_tree_may_be_named_from_inside(pair, monkeypatch):
    monkeypatch.chdir(pair / "small-texture")
    tree = training_tree(type(pair)("."), "texture")
    assert len(tree) == 4


def test_only_the_ending_of_the_roots_name_is_taken_away(tmp_path):
    write_tree(tmp_path / "a-texture.png-b" / "c-texture-d" / "train", 1, 1)
    textures = tmp_path / "a-texture.png-b" / "c-texture-d-texture"
    write_tree(textures / "train", 1, 1, ".png")
    assert len(training_tree(textures, "texture")) == 1


def test_a_texture_tree_with_another_name(pair):
    with pytest.raises(UsageError, match="names the tree of textures, <root>-texture"):
        training_tree(pair / "small", "texture")


def test_photographs_and_textures_without_partner_are_named(pair):
    (pair / "small-texture/train/n00000001/n00000001_0.png").rename(pair / "moved.png")
    with pytest.raises(UsageError, match=r"1 image\(s\) without a texture .*n00000001_0.JPEG; run preprocess"):
        training_tree(pair / "small-texture", "texture")
    (pair / "moved.png").rename(pair / "small-texture/train/n00000001/n00000001_0.png")
    (pair / "small/train/n00000000/n00000000_1.JPEG").unlink()
    with pytest.raises(UsageError, match=r"1 texture\(s\) without a photograph .*n00000000_1.png"):
        training_tree(pair / "small-texture", "texture")


def test_textures_whose_photographs_are_not_there(pair):
    (pair / "small").rename(pair / "elsewhere")
    with pytest.raises(UsageError, match="small/train is missing"):
        training_tree(pair / "small-texture", "texture")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK"])
def test_every_kind_of_file_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    picture(3).convert(mode).save(path)
    image = decode(path)
    assert image.shape == (3, 48, 60) and image.dtype == torch.uint8
    if mode in ("L", "P"):
        assert torch.equal(image, torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1))
