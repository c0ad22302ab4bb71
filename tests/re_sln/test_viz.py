import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from data.cifar import load_cifar
from re_sln import viz
from tests.data.standin import write_cifar
from tests.re_sln.noise_inputs import REAL, ROOT, authors_columns

# The published picture of symmetric noise on CIFAR-10, the authors' file, seed 123: the examples in its 32 cells.
PUBLISHED = (
    "41712 43668 37446 1101 15011 6976 29086 28065 47673 11077 48350 19067 27763 46843 42334 46550 "
    "8310 15129 11471 21862 39409 4556 11596 4057 42540 24696 14296 39597 33242 43849 2217 6296"
)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_cifar(folder, "cifar10", train=400, test=20)
    write_cifar(folder, "cifar100", train=400, test=100)
    return folder


@pytest.fixture
def captions(monkeypatch):
    """The cells of the pictures; those of symmetric noise and of odd examples are drawn, which takes a second each."""
    drawn = []
    draw = viz.save_cells

    def spy(path, pictures, texts):
        drawn.append(list(zip(pictures, texts, strict=True)))
        if path.stem in ("cifar10_sym_p_0.4_custom", "out"):
            draw(path, pictures, texts)

    monkeypatch.setattr(viz, "save_cells", spy)
    return drawn


@REAL
def test_the_published_examples_are_picked():
    labels, given = authors_columns("CIFAR10/sym0.4")
    picked = viz.pick_examples(given != labels, 123)
    assert picked == [int(number) for number in PUBLISHED.split()]
    texts = [viz.caption(NAMES[labels[i]], NAMES[given[i]], given[i] != labels[i], False) for i in picked]
    assert all(text.startswith("clean:") for text in texts[:16])
    assert texts[16:20] == ["dirty:bird (truck)", "dirty:truck (cat)", "dirty:horse (bird)", "dirty:bird (ship)"]


def test_every_cell_draws_for_itself_from_its_half():
    is_noisy = np.arange(100) % 3 == 0
    picked = viz.pick_examples(is_noisy, 7)
    for cell, example in enumerate(picked, start=1):
        candidates = [i for i in range(100) if is_noisy[i] == (cell > 16)]
        np.random.RandomState(7 + cell).shuffle(candidates)
        assert example == candidates[0]
    assert viz.pick_examples(np.ones(5, bool), 7)[:16] == [None] * 16
    assert None not in viz.pick_examples(np.ones(5, bool), 7)[16:]


def test_captions_are_those_of_the_published_pictures():
    assert viz.caption("cat", "cat", False, False) == "clean:cat"
    assert viz.caption("cat", "dog", True, False) == "dirty:dog (cat)"
    assert viz.caption("cat", "cat", True, True) == "dirty:(cat)"


@pytest.mark.parametrize(
    "arguments, name, rule",
    [
        (["cifar10"], "cifar10_sym_p_0.4", "rule: src 0, dsts [1, 2, 3, 4, 5, 6, 7, 8, 9], p 0.4"),
        (["cifar10", "--noise-mode=asym", "--p=0.45"], "cifar10_asym_p_0.45", "rule: src 4, dsts [7], p 0.45"),
        (["cifar10", "--noise_mode=openset", "--seed=3"], "cifar10_openset_p_0.4", "rule: src cifar10, dst cifar100"),
        (["cifar100", "--noise_mode=asym", "--custom_rng=rerun"], "cifar100_asym_p_0.4", "… and 80 more"),
    ],
)
def test_custom_noise_is_drawn(place, tmp_path, monkeypatch, capsys, captions, arguments, name, rule):
    monkeypatch.setattr(viz, "repo_root", lambda: tmp_path)
    assert viz.main([*arguments, "--custom_noise", "--data-dir", str(place), "--allow_unverified"]) == 0
    out, picture = capsys.readouterr().out, tmp_path / "re_sln" / "viz" / f"{name}_custom.png"
    assert f"{arguments[0]}-standin: " in out and "of 400 training examples are noisy (0." in out and rule in out
    assert out.rstrip().endswith(str(picture))
    if "sym" in name and "asym" not in name:
        with Image.open(picture) as image:
            assert image.size == (2880, 960)  # 24×8 inches
            assert len(image.convert("RGB").getcolors(1 << 24) or []) > 300
    cells = captions[0]
    assert len(cells) == 32 and all(shown.shape == (32, 32, 3) for shown, _ in cells)
    if "openset" in name:
        foreign = {image.tobytes() for image in load_cifar("cifar100", place, True).train_images}
        assert [shown.tobytes() in foreign for shown, _ in cells] == [False] * 16 + [True] * 16
    opening = "dirty:(class" if "openset" in name else "dirty:class"
    assert all(text.startswith("clean:class") for _, text in cells[:16])
    assert all(text.startswith(opening) for _, text in cells[16:])


def test_without_rules_what_happened_is_printed_and_missing_examples_are_said(place, tmp_path, capsys, captions):
    folder = tmp_path / "label_noisy" / "cifar10"
    folder.mkdir(parents=True)
    (tmp_path / "cifar-10-batches-py").symlink_to(place / "cifar-10-batches-py")
    labels = load_cifar("cifar10", place, True).train_labels
    rows = "".join(f"{label},{(label + 1) % 10}\n" for label in labels)
    (folder / "sym0.4.csv").write_text(f"label,label_noisy\n{rows}", encoding="utf-8")
    out = tmp_path / "new" / "out.png"
    assert viz.main(["cifar10", "--data_dir", str(tmp_path), "--allow_unverified", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "400 of 400 training examples are noisy (1.00000)" in printed and "states no rules" in printed
    assert "rule: src 9, dsts [0], p 1.0" in printed and out.is_file()
    assert captions[0][0] == (None, "no such example")
    for _, text in captions[0][16:]:
        given, true = map(int, re.fullmatch(r"dirty:class(\d+) \(class(\d+)\)", text).groups())
        assert given == (true + 1) % 10


def test_digits_are_drawn_from_inside_the_folder_without_a_screen(tmp_path):
    environment = {**os.environ, "DATA_DIR": str(tmp_path)}
    environment.pop("DISPLAY", None)
    command = [sys.executable, "viz.py", "digits", "--p", "0.2", "--out", str(tmp_path / "digits.png")]
    done = subprocess.run(command, cwd=ROOT / "re_sln", env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "INFO: made " in done.stderr and "digits: " in done.stdout and (tmp_path / "digits.png").is_file()
    assert (tmp_path / "label_noisy" / "digits" / "sym0.2_custom_seed123.csv").is_file()


def animals(folder, number):
    for part in ("training", "testing"):
        (folder / part).mkdir(parents=True)
        for i in range(number):
            image = Image.fromarray(np.full((64, 64, 3), 5 * i, np.uint8))
            image.save(folder / part / f"{i % 10}_{i:05d}.png")


def test_animals_are_drawn(tmp_path, captions):
    animals(tmp_path / "animal-10n", 40)
    out = tmp_path / "out.png"
    assert viz.main(["animal-10n", "--seed=5", "--data_dir", str(tmp_path), "--out", str(out)]) == 0
    names = "cat lynx wolf coyote cheetah jaguar chimpanzee orangutan hamster guinea-pig".replace("-", " ")
    chosen = np.random.RandomState(5).permutation(40)[:32]
    order = sorted(range(40), key=lambda i: f"{i % 10}_{i:05d}")  # of the file names
    for (shown, text), place_in_order in zip(captions[0], chosen, strict=True):
        image = order[place_in_order]
        assert shown.shape == (64, 64, 3) and (shown == 5 * image).all()
        assert text in names and text.split()[0] == names.split()[image % 10]
    assert out.is_file()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["cifar10", "--p=0"], "--p=0.0: there is no noise to show"),
        (["cifar10", "--p=1.5"], "--p=1.5: the rate of the noise"),
        (["cifar10", "--custom_noise", "--noise_mode=dependent"], "train_cifar.py trains first"),
        (["cifar10", "--noise_mode=openset"], "choose one of these, or add --custom_noise"),
        (["cifar100", "--noise_mode=openset", "--custom_noise"], "for cifar10 and digits alone"),
        (["cifar10"], "sym0.4.csv is missing"),
        (["digits", "--seed=-1"], "--seed=-1"),
        (["animal-10n", "--seed=-1"], "--seed=-1"),
        (["animal-10n"], "Animal-10N is not here"),
    ],
)
def test_mistakes_end_in_one_sentence(place, tmp_path, capsys, arguments, message):
    verified = ["--allow_unverified"] if "--noise_mode=openset" not in arguments else []
    out = tmp_path / "out.png"
    assert viz.main([*arguments, "--data_dir", str(place), *verified, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["mnist"], ["animal-10n", "--p=0.4"], ["cifar10", "--noise_mode=x"], ["cifar10", "--custom"]]
)
def test_unknown_flags_and_values_end_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        viz.main(arguments)
    assert stopped.value.code == 2 and "usage: viz.py" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")
    arguments = ["digits", "--data_dir", str(tmp_path), "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        assert viz.main(arguments) != 0
    assert out.read_bytes() == b"old" and "error: " in capsys.readouterr().err
    assert viz.main(arguments) == 0 and out.read_bytes() != b"old"
