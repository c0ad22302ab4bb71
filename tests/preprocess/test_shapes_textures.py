import numpy as np
import pytest
from PIL import Image

from common.errors import UsageError
from moco_nonsem.images.image_tree import training_tree
from preprocess.shape_masks import SHAPES, shape_mask
from preprocess.shapes_textures import CLASSES, SHAPE_NAMES, TEXTURE_NAMES, draw, labels, main, make_images, sheet
from preprocess.texture_fills import TEXTURES, rgb_of_hsv, texture_fill
from tests.preprocess.small_trees import content, run, stamps


def test_there_are_eight_of_each():
    assert len(SHAPES) == len(TEXTURES) == CLASSES == 8


@pytest.mark.parametrize("rate, count", [(1.0, 80), (0.9, 80), (0.8, 40), (0.35, 160), (0.0, 56)])
def test_the_rate_is_met_in_each_class_and_the_rest_spread_evenly(rate, count):
    shapes, textures = labels(count, rate)
    assert np.bincount(shapes).tolist() == [count // 8] * 8
    for shape in range(8):
        own = textures[shapes == shape]
        assert (own == shape).sum() == int(round(rate * count / 8, 9))
        others = np.bincount(own, minlength=8)[np.arange(8) != shape]
        assert others.max() - others.min() <= 1


def test_images_are_what_their_number_makes_them():
    images, shapes, textures = make_images(24, 32, seed=3, agreement=0.5)
    assert images.shape == (24, 32, 32, 3) and images.dtype == np.uint8
    assert shapes.dtype == textures.dtype == np.int64
    again = make_images(24, 32, seed=3, agreement=0.5)[0]
    assert np.array_equal(images, again)
    assert np.array_equal(images[9:14], draw(shapes[9:14], textures[9:14], 32, 3, "train", start=9))
    assert not np.array_equal(images, make_images(24, 32, seed=4, agreement=0.5)[0])
    assert not np.array_equal(images, make_images(24, 32, seed=3, agreement=0.5, purpose="val")[0])


def test_at_another_rate_an_image_differs_in_its_texture_only():
    whole, shapes, _ = make_images(16, 40, seed=0, agreement=1.0)
    none, shapes_too, _ = make_images(16, 40, seed=0, agreement=0.0)
    assert np.array_equal(shapes, shapes_too)
    same = (whole == none).all(axis=3)
    assert (same.mean(axis=(1, 2)) > 0.4).all()  # the background
    assert (same.mean(axis=(1, 2)) < 0.95).all()


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_fits_its_circle_wherever_it_is_turned(name):
    angle = np.linspace(0, 6, 7)
    mask = shape_mask(name, 64, np.full((7, 2), 32.0), np.full(7, 20.0), angle)
    line = np.arange(64) + 0.5 - 32
    outside = np.hypot(line[:, None], line) > 20 + 1.5
    assert mask[:, outside].max() == 0
    area = mask.sum(axis=(1, 2)) / (np.pi * 400)
    assert area.min() > 0.15 and area.max() - area.min() < 0.02  # a turn leaves its area


def test_areas_are_those_of_the_figures():
    def area(name):
        return shape_mask(name, 200, np.array([[100.0, 100.0]]), np.array([90.0]), np.zeros(1)).sum() / 90**2

    assert area("disc") == pytest.approx(np.pi * 0.85**2, rel=0.01)
    assert area("square") == pytest.approx(1.44**2, rel=0.01)
    assert area("triangle") == pytest.approx(3 * np.sqrt(3) / 4, rel=0.01)
    assert area("star") == pytest.approx(10 * 0.5 * 0.42 * np.sin(np.pi / 5), rel=0.01)
    assert area("plus") == pytest.approx(2 * 1.9 * 0.6 - 0.6**2, rel=0.01)
    assert area("ring") == pytest.approx(np.pi * (0.97**2 - 0.53**2), rel=0.01)
    assert area("bar") == pytest.approx(2 * 0.6, rel=0.01)


def test_shapes_and_textures_are_far_apart():
    one = np.ones(1)
    masks = [shape_mask(name, 40, 20 * np.ones((1, 2)), 16 * one, 0 * one)[0] for name in SHAPES]
    draws = np.random.default_rng(0).random((1, 40, 40))
    fills = [texture_fill(name, 40, 6 * one, 0.3 * one, np.zeros((1, 2)), draws)[0] for name in TEXTURES]
    for images, least in ((masks, 0.05), (fills, 0.2)):
        for number, image in enumerate(images):
            for other in images[:number]:
                assert np.abs(image - other).mean() > least
    for fill in fills:
        assert 0.15 < fill.mean() < 0.85
        assert fill.std() > 0.3  # both colours are there


def test_colours_against_the_standard_library():
    import colorsys

    draws = np.random.default_rng(0).random((50, 3))
    np.testing.assert_allclose(rgb_of_hsv(*draws.T), [colorsys.hsv_to_rgb(*each) for each in draws], atol=1e-12)


def test_the_tree(tmp_path, capsys):
    arguments = [
        "--path",
        str(tmp_path / "tree"),
        "--train=30",
        "--val=8",
        "--conflict=16",
        "--agreement=0.5",
        "--size=32",
    ]
    assert main(arguments) == 0
    assert "train: 30 images of 8 classes, agreement 0.5" in capsys.readouterr().out
    shapes, textures = labels(30, 0.5)
    images = draw(shapes, textures, 32, 0, "train")
    for number, (shape, texture) in enumerate(zip(shapes, textures, strict=True)):
        name = f"{SHAPE_NAMES[shape]}/{SHAPE_NAMES[shape]}_{TEXTURE_NAMES[texture]}_{number:05d}.png"
        assert np.array_equal(np.asarray(Image.open(tmp_path / "tree" / "train" / name)), images[number])
    own = dict(zip(SHAPE_NAMES, TEXTURE_NAMES, strict=True))
    for folder, agrees in (("val", True), ("conflict", False)):
        for path in (tmp_path / "tree" / folder).rglob("*.png"):
            shape, texture, _ = path.stem.split("_")
            assert path.parent.name == shape and (own[shape] == texture) == agrees
    before, data = stamps(tmp_path / "tree"), content(tmp_path / "tree")
    assert main(arguments) == 0
    assert stamps(tmp_path / "tree") == before
    lost = min((tmp_path / "tree" / "train").rglob("*.png"))
    lost.unlink()
    (lost.parent / ".half.png.3.tmp").write_bytes(b"half")
    code, _, err = run("shapes_textures", *arguments, inside=True)
    assert code == 0, err
    assert content(tmp_path / "tree") == data


def test_textures_alone_pair_with_their_images(tmp_path, capsys):
    words = ["--path", str(tmp_path / "tree"), "--train", "16", "--val", "8", "--conflict", "8", "--size", "32"]
    assert main(words) == 0
    before = content(tmp_path / "tree")
    assert main([*words, "--textures"]) == 0
    assert content(tmp_path / "tree") == before
    tree = training_tree(tmp_path / "tree-texture", "texture")
    assert (tmp_path / "tree-texture" / "NAME").read_text() == "shapes-textures\n"
    assert tree.textures is not None and len(tree.textures) == 16
    shapes, textures = labels(16, 1.0)
    alone = draw(shapes, textures, 32, 0, "train", alone=True)
    within = draw(shapes, textures, 32, 0, "train")
    for path, photograph in zip(tree.textures, tree.paths, strict=True):
        number = int(path.stem[-5:])
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), alone[number])
        assert photograph.stem == path.stem
    same = (alone == within).all(axis=3).mean(axis=(1, 2))
    assert (same > 0.1).all() and (same < 0.7).all()  # the shape, not the background


def test_every_shape_with_every_texture_in_one_picture(tmp_path):
    assert main(["--sheet", str(tmp_path / "sheet.png"), "--size=32"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "sheet.png")), sheet(32, 0))
    assert np.array_equal(sheet(32, 0)[:32, 32:64], draw(np.array([0]), np.array([1]), 32, 0, "sheet", start=1)[0])


def test_mistakes(tmp_path, capsys):
    def refused(*arguments):
        assert main(["--path", str(tmp_path / "tree"), *arguments]) == 2
        return capsys.readouterr().err

    assert "--agreement 1.5" in refused("--agreement=1.5")
    assert "--size 8" in refused("--size=8")
    assert "--val -1" in refused("--val=-1")
    assert "--val 1000" in refused("--val=1" + 400 * "0")
    assert "--seed -3" in refused("--seed=-3")
    assert not (tmp_path / "tree").exists()
    sizes = ("--train=8", "--val=0", "--conflict=0", "--size=16")
    assert main(["--path", str(tmp_path / "tree"), *sizes]) == 0
    assert "was begun with --seed 0" in refused(*sizes, "--seed=1")
    (tmp_path / "tree" / "train" / "disc" / "more.png").write_bytes(b"")
    assert main(["--path", str(tmp_path / "tree"), *sizes]) == 1
    with pytest.raises(UsageError):
        labels(4, -0.1)
