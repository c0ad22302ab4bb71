"""The picture of the views: through its command line, from its folder and as a module."""

import numpy as np
import pytest
from PIL import Image

from moco_nonsem.view_sheet import CAPTION, MARGIN, main
from tests.moco_nonsem.photographs import write_tree
from tests.programs import ROOT, run_as_main, start

SMALL = ["--image-size=24", "--patch-ratio", "4", "12", "--images=3"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """small/ and small-texture/."""
    folder = tmp_path_factory.mktemp("sheet")
    write_tree(folder / "small" / "train", 2, 2)
    write_tree(folder / "small-texture" / "train", 2, 2, ".png", 50)
    return folder


@pytest.mark.parametrize("name, rows", [("small", 3), ("small-texture", 4)])
def test_a_row_for_each_kind_of_view(data, tmp_path, name, rows):
    out = tmp_path / "views.png"
    assert main([str(data / name), *SMALL, f"--out={out}"]) == 0
    pixels = np.array(Image.open(out))
    side = 96  # four times as large as the view
    assert pixels.shape == (rows * (side + MARGIN) + MARGIN, CAPTION + 3 * (side + MARGIN), 3)
    for row in range(rows):
        for column in range(3):
            top, left = MARGIN + row * (side + MARGIN), CAPTION + column * (side + MARGIN)
            view = pixels[top : top + side : 4, left : left + side : 4]
            assert view.std() > 2
            assert (np.kron(view, np.ones((4, 4, 1))) == pixels[top : top + side, left : left + side]).all()
    assert [path.name for path in tmp_path.iterdir()] == ["views.png"]


def test_seeds_and_loaders_show_other_views(data, tmp_path):
    pictures = []
    for more in ([], [], ["--seed=1"], ["--loader=reference"], ["--no-aug-plus"]):
        assert main([str(data / "small"), *SMALL, *more, f"--out={tmp_path / 'a.png'}"]) == 0
        pictures.append((tmp_path / "a.png").read_bytes())
    assert pictures[0] == pictures[1] and len(set(pictures)) == 4


@pytest.mark.parametrize(
    "wrong, message",
    [
        (["nowhere"], "nowhere/train is missing"),
        (["small", "--images=0"], "--images=0: 1 to 100"),
        (["small", "--image-size=2147483648"], "--image-size=2147483648: 1 to 1024"),
        (["small", "--patch-ratio", "4", "24"], "use at most 23"),
    ],
)
def test_mistakes_are_one_sentence(data, tmp_path, capsys, wrong, message):
    assert main([str(data / wrong[0]), *SMALL, *wrong[1:], f"--out={tmp_path / 'a.png'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "program, cwd", [(["view_sheet.py"], ROOT / "moco_nonsem"), (["-m", "moco_nonsem.view_sheet"], ROOT)]
)
def test_from_its_folder_and_as_a_module(data, tmp_path, program, cwd):
    out = tmp_path / "views.png"
    process = start(program, "--help", cwd=cwd)
    said, error = process.communicate()
    assert process.returncode == 0 and "--patch-ratio" in said, error
    assert run_as_main(program, str(data / "small"), *SMALL, f"--out={out}", cwd=cwd) == 0
    assert out.exists()
