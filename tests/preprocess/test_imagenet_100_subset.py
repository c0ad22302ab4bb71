import errno
import os

import pytest

from data.imagenet100 import WNIDS
from preprocess import imagenet_100_subset, tree_copies
from preprocess.imagenet_100_subset import main
from tests.preprocess.small_trees import class_tree, content, run, stamps

OTHERS = ("n01440764", "n15075141")


@pytest.fixture
def imagenet(tmp_path):
    for split, images in (("train", 2), ("val", 1)):
        class_tree(tmp_path / "imagenet" / split, (*WNIDS, *OTHERS), images)
    return tmp_path / "imagenet"


def make(imagenet, target, *more):
    return main(["--imagenet_path", str(imagenet), "--imagenet100_path", str(target), *more])


def wanted(imagenet):
    return {name: data for name, data in content(imagenet).items() if name.split("/")[1] in WNIDS}


def test_the_classes_and_their_labels():
    assert len(set(WNIDS)) == 100
    assert list(WNIDS) == sorted(WNIDS)
    assert (WNIDS[0], WNIDS[29], WNIDS[-1]) == ("n01558993", "n02109047", "n13040303")


@pytest.mark.parametrize("link", ["symlink", "hardlink", "copy"])
def test_the_subset_once_and_again(imagenet, tmp_path, link, capsys):
    target = tmp_path / "in100"
    assert make(imagenet, target, "--link", link) == 0
    out, err = capsys.readouterr()
    assert "train: 200 images of 100 classes" in out and "val: 100 images of 100 classes" in out
    assert "ImageNet has 50 val images a class" in err  # this one has not
    assert content(target) == wanted(imagenet)
    assert not (target / "NAME").exists()
    image = target / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    source = imagenet / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    assert image.is_symlink() == (link == "symlink")
    assert image.samefile(source) == (link != "copy")
    before = stamps(target)
    assert make(imagenet, target, "--link", link) == 0
    assert stamps(target) == before


def test_a_subset_with_imagenet_s_counts_says_its_name(imagenet, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(imagenet_100_subset, "VAL_IMAGES", 1)
    monkeypatch.setattr(imagenet_100_subset, "TRAIN_IMAGES", (2, 3))
    assert make(imagenet, tmp_path / "in100") == 0
    assert "warning" not in capsys.readouterr().err
    assert (tmp_path / "in100" / "NAME").read_text() == "imagenet100\n"


def test_what_an_interruption_left_is_mended(imagenet, tmp_path):
    target = tmp_path / "in100"
    assert make(imagenet, target, "--link=copy") == 0
    folder = target / "train" / WNIDS[3]
    (folder / f"{WNIDS[3]}_1.JPEG").unlink()
    (folder / f"{WNIDS[3]}_0.JPEG").write_text("half")
    (folder / f".{WNIDS[3]}_1.JPEG.77.tmp").write_text("half")
    assert make(imagenet, target, "--link=copy") == 0
    assert content(target) == wanted(imagenet)
    for link in ("symlink", "hardlink", "copy"):  # another way of standing there takes the place of the old one
        assert make(imagenet, target, "--link", link) == 0
        assert content(target) == wanted(imagenet)
    assert content(imagenet)[f"train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG"] == f"train {WNIDS[0]} 0".encode()


def test_missing_classes_are_named_before_anything_is_made(imagenet, tmp_path, capsys):
    for wnid in WNIDS[4:6]:
        for file in (imagenet / "val" / wnid).iterdir():
            file.unlink()
    assert make(imagenet, tmp_path / "in100") == 2
    assert f"2 of the 100 classes: {WNIDS[4]}, {WNIDS[5]}" in capsys.readouterr().err
    for wnid in WNIDS[4:6]:
        (imagenet / "val" / wnid).rmdir()
    assert make(imagenet, tmp_path / "in100") == 2
    assert f"lacks 2 of the 100 classes: {WNIDS[4]}, {WNIDS[5]}" in capsys.readouterr().err
    assert not (tmp_path / "in100").exists()


def test_mistakes(imagenet, tmp_path, capsys):
    def refused(source, target, *more, code=2):
        assert make(source, target, *more) == code
        return capsys.readouterr().err

    assert "there is no folder" in refused(tmp_path / "none", tmp_path / "in100")
    assert "they are in train, val in it" not in refused(imagenet.parent, tmp_path / "in100")
    assert "lie in one another" in refused(imagenet, imagenet / "in100")
    (tmp_path / "other" / "train" / OTHERS[0]).mkdir(parents=True)
    assert "folders of other classes" in refused(imagenet, tmp_path / "other")
    extra = tmp_path / "in100" / "train" / WNIDS[0] / "extra.JPEG"
    extra.parent.mkdir(parents=True)
    extra.write_text("not ImageNet's")
    assert "they differ in extra.JPEG" in refused(imagenet, tmp_path / "in100", code=1)


def test_a_hard_link_across_file_systems_is_refused(imagenet, tmp_path, monkeypatch, capsys):
    def across(_source, _target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(tree_copies.os, "link", across)
    assert make(imagenet, tmp_path / "in100", "--link=hardlink") == 2
    assert "use --link symlink or --link copy" in capsys.readouterr().err


def test_as_a_program(imagenet, tmp_path):
    code, out, err = run(
        "imagenet_100_subset", "--imagenet-path", imagenet, "--imagenet100-path", tmp_path / "in100", inside=True
    )
    assert code == 0, err
    assert "200 images of 100 classes" in out
