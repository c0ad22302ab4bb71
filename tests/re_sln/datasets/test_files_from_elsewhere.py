"""Lists and images as other programs left them: Animal-10N and Clothing1M through their command lines."""

import codecs
import os

import numpy as np
import pytest
import torch
from PIL import Image

from common.errors import UnreadableImage
from re_sln import train_clothing1m, train_real
from re_sln.datasets.animal10n import describe_animal10n, read_animal10n
from re_sln.datasets.clothing1m import LISTS, describe_clothing1m, load_clothing1m
from re_sln.images.device_images import Look
from re_sln.images.loader_images import LoaderImages
from tests import foreign_entries
from tests.damages import claim_more_pixels
from tests.re_sln.stand_ins import write_animal10n, write_clothing1m

CLOTHING = ["--network=wrn-10-1", "--weights=none", "--n_epochs=1", "--batch_size=4", "--workers=1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "data"


def error_of(program, arguments, capfd, code=2):
    capfd.readouterr()
    assert program.main(arguments) == code
    err = capfd.readouterr().err
    assert "Traceback" not in err
    return next((line for line in err.splitlines() if line.startswith("error: ")), err)


# Animal-10N


def test_what_other_programs_left_is_no_image(folder, caplog):
    write_animal10n(folder)
    before = read_animal10n()
    for part in ("training", "testing"):
        inside = folder / "animal-10n" / part
        foreign_entries.leave(inside, sorted(inside.glob("*.jpg"))[1])
    assert [list(map(str, part)) for part in read_animal10n()] == [list(map(str, part)) for part in before]
    assert len([record for record in caplog.records if "another program" in record.message]) == 2


def test_check_reads_the_images(folder, capfd):
    write_animal10n(folder)
    assert train_real.main(["--check"]) == 0
    path = folder / "animal-10n" / "testing" / "3_00013.jpg"
    claim_more_pixels(path)
    for arguments in (["--check"], ["--network=wrn-10-1", "--n_epochs=1"]):
        assert "3_00013.jpg (Image size (400000000 pixels) exceeds" in error_of(train_real, arguments, capfd)
    Image.new("RGB", (50, 64)).save(path)
    assert "3_00013.jpg (50×64)" in error_of(train_real, ["--check"], capfd)


# Clothing1M


def split_lists(root):
    """The lists as the archive has them today: names by part, labels by origin, some of which no list asks for."""
    place, labels = root / "annotations", {"noisy": ["images/else.jpg 3\n"], "clean": ["images/else.jpg 4\n"]}
    for name in LISTS:
        lines = (place / f"{name}.txt").read_text().splitlines(keepends=True)
        (place / f"{name}_key_list.txt").write_text("".join(line.rpartition(" ")[0] + "\n" for line in lines))
        labels[name.partition("_")[0]] += reversed(lines)
        (place / f"{name}.txt").unlink()
    for origin, lines in labels.items():
        (place / f"{origin}_label_kv.txt").write_text("".join(lines))
    return place


@pytest.mark.parametrize("in_root", [False, True])
def test_key_lists_are_joined_with_their_labels(folder, capfd, in_root):
    write_clothing1m(folder)
    before = load_clothing1m(None, "authors")
    place = split_lists(folder / "clothing1m")
    if in_root:
        for path in place.iterdir():
            path.rename(place.parent / path.name)
        place = place.parent
    after = load_clothing1m(None, "authors")
    assert after.train == before.train and after.test_images == before.test_images
    np.testing.assert_array_equal(after.given, before.given)
    for name in ("test", "validation"):
        np.testing.assert_array_equal(after.tests[name], before.tests[name])
    assert after.fingerprint == before.fingerprint == describe_clothing1m()
    assert train_clothing1m.main([*CLOTHING, "--check"]) == 0
    capfd.readouterr()
    path = place / "clean_label_kv.txt"
    whole = path.read_text()
    path.write_text(whole.replace("images/clean_val_3.jpg", "images/clean_val_x.jpg"))
    said = error_of(train_clothing1m, [*CLOTHING, "--check"], capfd)
    assert (
        "1 file(s)" in said
        and "clean_val_key_list.txt have no label in clean_label_kv.txt: images/clean_val_3.jpg" in said
    )
    path.write_text(whole + "images/clean_val_3.jpg 9\n")
    assert "clean_val_3.jpg has label 9, and 3 before" in error_of(train_clothing1m, [*CLOTHING, "--check"], capfd)
    path.unlink()
    assert "clean_label_kv.txt cannot be read" in error_of(train_clothing1m, [*CLOTHING, "--check"], capfd)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace(" ", ",").replace("\n", ".0\n").encode(),
        lambda text: "".join(f'"{line.replace(" ", chr(34) + ";")};;\n' for line in text.splitlines()).encode(),
    ],
    ids=["mark", "utf-16", "crlf", "cr", "commas", "quotes"],
)
def test_lists_as_other_programs_save_them(folder, change):
    write_clothing1m(folder)
    before = load_clothing1m(None, "authors")
    for path in (folder / "clothing1m" / "annotations").iterdir():
        path.write_bytes(change(path.read_text()))
    after = load_clothing1m(None, "authors")
    assert after.train == before.train and after.given.tolist() == before.given.tolist()
    assert after.fingerprint == before.fingerprint


@pytest.mark.parametrize(
    "line, message",
    [
        ("images/衣服.jpg 3".encode("gbk"), "line 29: the bytes d2 c2 b7 fe are not of UTF-8 text; save the file as"),
        ("images/noisy_train_0.jpg ²".encode(), "line 29: 'images/noisy_train_0.jpg ²' is not an image's path and a"),
        (b"images/not_there.jpg 3", "not_there.jpg"),
    ],
)
def test_check_reads_the_lists(folder, capfd, line, message):
    write_clothing1m(folder)
    path = folder / "clothing1m" / "annotations" / "noisy_train.txt"
    path.write_bytes(path.read_bytes() + line + b"\n")
    for check in ([], ["--check"]):
        said = error_of(train_clothing1m, [*CLOTHING, *check], capfd)
        assert message in said and "noisy_train.txt" in said


def test_an_image_that_claims_too_much_is_named_before_and_while_training(folder, capfd):
    write_clothing1m(folder)
    claim_more_pixels(folder / "clothing1m" / "images" / "noisy_train_5.jpg")
    said = error_of(train_clothing1m, CLOTHING, capfd)
    assert "noisy_train_5.jpg cannot be read as an image (Image size (400000000 pixels) exceeds" in said
    said = error_of(train_clothing1m, [*CLOTHING, "--check"], capfd)
    assert "noisy_train_5.jpg (Image size (400000000 pixels) exceeds" in said


@pytest.mark.parametrize("workers", [0, 1])
def test_kinds_of_files_that_the_loader_reads(tmp_path, workers):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    paths = [tmp_path / f"{k}.jpg" for k in range(3)]
    image.save(paths[0], "GIF", save_all=True, append_images=[image.rotate(90)])
    Image.fromarray(np.full((40, 50), 0x8040, np.uint16)).save(paths[1], "PNG")
    paths[2].write_bytes(b"")
    look = Look(32, 0, 32, np.zeros(3), np.ones(3))
    images = LoaderImages(paths, look, torch.device("cpu"), workers)
    (found,) = images.batches([np.array([0, 1])], None)
    assert found.shape == (2, 3, 32, 32)
    np.testing.assert_allclose(found[1], 0x80 / 255, atol=1e-6)
    with pytest.raises(UnreadableImage, match=r"2\.jpg cannot be read as an image \(it is none of .*move it away$"):
        list(images.batches([np.array([2])], None))


def test_names_that_are_no_utf8(folder):
    write_animal10n(folder)
    before = describe_animal10n()
    image = folder / "animal-10n" / "training" / "0_00000.jpg"
    image.rename(image.with_name(os.fsdecode("0_衣服.jpg".encode("gbk"))))
    assert describe_animal10n() != before
