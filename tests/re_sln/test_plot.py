"""Pictures of trained networks: the counts against slow loops, and the program through its command line."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from common.records.config_text import format_config
from common.records.record_files import read_config
from common.storage.files import atomic_write
from data.digits import load_digits
from re_sln import plot, train_cifar, train_real
from re_sln.figures import run_pictures
from re_sln.figures.run_pictures import EDGES, KINDS, count_probabilities, dissect, largest_probabilities
from re_sln.training.wide_resnet import build_network
from tests.programs import ROOT, run_as_main, start
from tests.re_sln.small_runs import DIGITS, config_of
from tests.re_sln.stand_ins import write_animal10n

COUNT = 150  # of DIGITS


# The counts


def test_probabilities_are_counted_in_99_bins_between_100_edges():
    values = np.concatenate([np.random.default_rng(0).random(500), EDGES, [0.0, 1.0]])
    slow = [0] * 99
    for value in values:
        place = next(k for k in range(99) if value < EDGES[k + 1] or k == 98)
        slow[place] += 1
    assert count_probabilities(values).tolist() == slow and sum(slow) == 602
    assert len(EDGES) == 100 and (EDGES[0], EDGES[-1]) == (0, 1)
    assert np.allclose(np.diff(EDGES), 1 / 99)


def test_the_largest_probability_is_that_of_the_softmax():
    logits = np.random.default_rng(1).normal(0, 5, (40, 7))
    slow = [max(math.exp(value) for value in row) / sum(math.exp(value) for value in row) for row in logits]
    np.testing.assert_allclose(largest_probabilities(logits), slow, rtol=1e-12)
    assert largest_probabilities(np.array([[0.0, 0.0], [2000.0, -2000.0]])).tolist() == [0.5, 1.0]


def test_dissection_counts_each_kind_in_bins_of_rising_loss():
    rng = np.random.default_rng(2)
    losses, label, prediction = rng.integers(0, 9, 47) / 4, rng.random(47) < 0.6, rng.random(47) < 0.5
    order = sorted(range(47), key=lambda i: (losses[i], i))
    slow = []
    for first in range(0, 47, 10):
        row = [0, 0, 0, 0]
        for example in order[first : first + 10]:
            marks = f"label {'✓' if label[example] else '✗'} prediction {'✓' if prediction[example] else '✗'}"
            row[KINDS.index(marks)] += 1
        slow.append(row)
    assert dissect(losses, label, prediction, 10).tolist() == slow
    assert [sum(row) for row in slow] == [10, 10, 10, 10, 7]
    assert KINDS[0] == "label ✗ prediction ✗" and KINDS[3] == "label ✓ prediction ✓"


def test_no_prediction_of_an_openset_image_is_right(monkeypatch, tmp_path):
    """Given labels are the true ones there; the images are strangers."""
    drawn = {}
    monkeypatch.setattr(run_pictures, "draw_dissection", lambda path, title, counts, size: drawn.update(counts=counts))
    logits = np.eye(4)[[0, 1, 2, 2]]  # given 0, 1, 2, 3
    monkeypatch.setattr(plot, "training_logits", lambda trainer, transform: logits)
    labels = np.arange(4)
    data = SimpleNamespace(true=labels, given=labels, is_noisy=np.array([True, False, False, True]))
    for mode, kinds in (("openset", [2, 0, 0, 2]), ("sym", [0, 0, 1, 3])):
        config = SimpleNamespace(
            noise=SimpleNamespace(mode=mode, p=0.5, custom=True),
            flags=SimpleNamespace(dataset_name="cifar10", n_epochs=1), model="ce", augments=True,
        )  # fmt: skip
        arguments = SimpleNamespace(plot_transform="train", bin_size=None)
        plot.draw_sample_dissect(SimpleNamespace(data=data, config=config), arguments, tmp_path)
        assert drawn["counts"].sum(axis=0).tolist() == kinds


def test_files_are_named_as_published(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    authors = tmp_path / "label_noisy" / "cifar10" / "sym0.4.csv"
    authors.parent.mkdir(parents=True)
    authors.touch()

    def name(plot_type, transform="train", **flags):
        arguments = SimpleNamespace(plot_type=plot_type, plot_transform=transform)
        return plot.file_name(config_of(**flags), arguments)

    cifar = {"dataset_name": "cifar10", "network": "wrn-28-2", "image_size": 32, "allow_unverified": True}
    assert name("pred_probs", **cifar) == "cifar10-sln-sym-paper-0.4-prediction-probabilities"
    ce = {**cifar, "sigma": 0.0, "noise_mode": "asym", "custom_noise": True, "p": 0.5}
    assert name("sample_dissect", **ce) == "cifar10-ce-asym-custom-0.5-sample-dissection"
    assert name("tsne", mo=True) == "digits-sln-mo-sym-custom-0.4-tsne"
    lc = {"mo": True, "lc_n_epoch": 1, "n_epochs": 2, "p": 0.0}
    assert name("pred_probs", "test", **lc) == "digits-sln-mo-lc-prediction-probabilities-test-transform"


# The program


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """`ema`: with a moving average, cropped and flipped; `ce`: without either. Folder of runs, folder of data."""
    base = tmp_path_factory.mktemp("plot")
    common = [*DIGITS, "--n_epochs=4", f"--data_dir={base / 'data'}"]
    ema = [*common, "--mo", "--augmentation=crop_flip", f"--run_dir={base / 're_sln' / 'exp_ema'}"]
    assert train_cifar.main(ema) == 0
    assert train_cifar.main([*common, "--sigma=0", f"--run_dir={base / 're_sln' / 'exp_ce'}"]) == 0
    return base


@pytest.fixture(autouse=True)
def assets(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(runs))
    monkeypatch.setenv("DATA_DIR", str(runs / "data"))
    monkeypatch.setattr(plot, "repo_root", lambda: tmp_path)
    return tmp_path / "re_sln" / "assets"


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of each picture."""
    calls = []
    for name in ("draw_probabilities", "draw_dissection", "draw_map"):
        draw = getattr(run_pictures, name)
        monkeypatch.setattr(run_pictures, name, lambda *given, draw=draw: (calls.append(given), draw(*given)))
    return calls


def draw(run, kind, *more, code=0):
    assert plot.main(["--exp_id", str(run), "--plot-type", kind, "--device=cpu", *more]) == code


def refused(capsys, run, kind, *more):
    draw(run, kind, *more, code=2)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def network_and_inputs(folder, name, images):
    """The network with its weights, and the images as it sees them in a test."""
    network = build_network("wrn-10-1", 10, 0)[0]
    network.load_state_dict(torch.load(folder / name, weights_only=True))
    network.eval()
    pixels = load_digits(8).train_images / 255
    return network, torch.from_numpy((images / 255 - pixels.mean()) / pixels.std()).permute(0, 3, 1, 2).float()


def labels_of(runs):
    """True and given labels, read without the program's reader."""
    (file,) = (runs / "data").rglob("*_seed123.csv")
    return np.loadtxt(file, int, delimiter=",", skiprows=1)[:COUNT].T


@pytest.mark.parametrize("run, weights", [("exp_ema", "model_ema.pth"), ("exp_ce", "model.pth")])
def test_probabilities_are_those_of_the_tested_model(run, weights, runs, assets, drawn):
    draw(run, "pred_probs", "--plot_transform=test")
    path, title, clean, noisy = drawn[0]
    network, images = network_and_inputs(runs / "re_sln" / run, weights, load_digits(8).train_images[:COUNT])
    with torch.no_grad():
        largest = network(images).double().softmax(dim=1).amax(dim=1).numpy()
    true, given = labels_of(runs)
    assert clean.tolist() == np.histogram(largest[true == given], EDGES)[0].tolist()
    assert noisy.tolist() == np.histogram(largest[true != given], EDGES)[0].tolist() and noisy.sum() > 30
    model = "sln-mo" if run == "exp_ema" else "ce"
    assert path == assets / run / f"digits-{model}-sym-custom-0.4-prediction-probabilities-test-transform.png"
    assert Image.open(path).size == (960, 600) and ("SLN-MO" in title) == (run == "exp_ema")


def test_dissection_is_against_given_and_true_labels(runs, assets, drawn):
    draw("exp_ema", "sample_dissect", "--plot_transform=test", "--bin_size=40")
    path, _, counts, bin_size = drawn[0]
    network, images = network_and_inputs(
        runs / "re_sln" / "exp_ema", "model_ema.pth", load_digits(8).train_images[:COUNT]
    )
    true, given = labels_of(runs)
    with torch.no_grad():
        logits = network(images).double()
    losses = torch.nn.functional.cross_entropy(logits, torch.from_numpy(given), reduction="none").numpy()
    slow = np.zeros((4, 4), int)
    for rank, example in enumerate(np.argsort(losses, kind="stable")):
        right = int(logits[example].argmax()) == true[example]
        slow[rank // 40, 2 * (given[example] == true[example]) + right] += 1
    assert counts.tolist() == slow.tolist() and bin_size == 40
    assert path.exists()


def test_training_images_are_cropped_as_in_training_by_default_always_the_same_way(assets, drawn):
    for more in ([], [], ["--plot_transform=test"]):
        draw("exp_ema", "sample_dissect", *more)
    first, second, whole = (call[2].tolist() for call in drawn)
    assert first == second != whole
    assert "cropped and flipped" in drawn[0][1] and "uncropped" in drawn[2][1]
    assert drawn[0][3] == COUNT // 20  # a bar holds fewer in a small set
    assert [path.name for path in sorted((assets / "exp_ema").iterdir())] == [
        "digits-sln-mo-sym-custom-0.4-sample-dissection-test-transform.png",
        "digits-sln-mo-sym-custom-0.4-sample-dissection.png",
    ]


def test_the_map_is_of_the_last_features_of_the_test_images(runs, assets, drawn, monkeypatch):
    import sklearn.manifold

    seen = []
    real = sklearn.manifold.TSNE.fit_transform
    monkeypatch.setattr(
        sklearn.manifold.TSNE, "fit_transform", lambda self, values: (seen.append(values), real(self, values))[1]
    )
    for _ in range(2):
        draw("exp_ema", "tsne", "--max_points=60")
    path, title, places, labels, names = drawn[0]
    network, images = network_and_inputs(runs / "re_sln" / "exp_ema", "model_ema.pth", load_digits(8).test_images)
    with torch.no_grad():
        features = network.features(images).numpy()  # [360, 64]
    assert seen[0].shape == (60, 64) and places.shape == (60, 2)
    found = [int(np.abs(features - one).sum(axis=1).argmin()) for one in seen[0]]
    np.testing.assert_allclose(seen[0], features[found], atol=1e-5)
    assert labels.tolist() == load_digits(8).test_labels[found].tolist() and len(set(found)) == 60
    assert "60 of 360 test images" in title and names == tuple("0123456789")
    assert path.name == "digits-sln-mo-sym-custom-0.4-tsne.png"
    assert np.array_equal(places, drawn[1][2])


@pytest.mark.parametrize("started", [True, False])
def test_as_a_program_from_a_path_to_a_file(started, runs, tmp_path, capsys):
    """From inside its folder without a screen; as a module."""
    out = tmp_path / "new" / "picture.png"
    arguments = ["--exp_id", str(runs / "re_sln" / "exp_ce"), "--plot_type", "pred_probs", "--out", str(out)]
    if started:
        process = start(["plot.py"], *arguments, cwd=ROOT / "re_sln", DISPLAY="", MPLBACKEND="TkAgg")
        said, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
    else:
        assert run_as_main(["-m", "re_sln.plot"], *arguments) == 0
        said = capsys.readouterr().out
    assert said == f"{out}\n" and [path.name for path in out.parent.iterdir()] == ["picture.png"]


def copy_of(run, place, **changes):
    place.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (place / path.name).write_bytes(path.read_bytes())
    (place / "config.yml").write_text(format_config(read_config(run) | changes))
    return place


def test_mistakes_are_told_in_one_sentence(runs, tmp_path, capsys, assets):
    ema = runs / "re_sln" / "exp_ema"
    assert "there is no run exp_emma" in (line := refused(capsys, "exp_emma", "tsne")) and "nearest: exp_ema" in line
    bare = copy_of(ema, tmp_path / "bare")
    (bare / "model_ema.pth").unlink()
    assert "holds no model_ema.pth: only a training run that is finished" in refused(capsys, bare, "pred_probs")
    search = copy_of(ema, tmp_path / "search", program="tune")
    assert "is not a training run: it was made by tune" in refused(capsys, search, "tsne")
    other = copy_of(ema, tmp_path / "other", network="wrn-10-2")
    assert "model_ema.pth does not fit the run's network" in refused(capsys, other, "pred_probs")
    size = copy_of(ema, tmp_path / "size", image_size=9)
    assert "the data here are not those of" in refused(capsys, size, "tsne")
    noise = copy_of(ema, tmp_path / "noise", noise_sha256="0" * 64)
    assert "the noise file here is not that of" in refused(capsys, noise, "sample_dissect")
    atomic_write(other / "model_ema.pth", b"half of a fi")
    assert "model_ema.pth cannot be read" in refused(capsys, other, "pred_probs")
    assert "--bin_size=0: a bar holds" in refused(capsys, ema, "sample_dissect", "--bin_size=0")
    assert "--max_points=3: a map needs" in refused(capsys, ema, "tsne", "--max_points=3")
    assert not assets.exists()


def test_animal10n_has_a_map_but_nobody_knows_its_noise(tmp_path, capsys, monkeypatch, assets):
    write_animal10n(tmp_path / "data")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    run = tmp_path / "run"
    assert train_real.main(["--network=wrn-10-1", "--n_epochs=1", "--sigma=0", f"--run_dir={run}"]) == 0
    for kind in ("pred_probs", "sample_dissect"):
        assert "nobody knows which labels of animal-10n are wrong" in refused(capsys, run, kind)
    draw(run, "tsne")
    assert [path.name for path in (assets / "run").iterdir()] == ["animal-10n-ce-tsne.png"]


def test_a_hundred_classes_have_colours_and_no_legend(tmp_path):
    places = np.random.default_rng(0).normal(size=(300, 2))
    names = tuple(map(str, range(100)))
    run_pictures.draw_map(tmp_path / "map.png", "title", places, np.arange(300) % 100, names)
    picture = np.asarray(Image.open(tmp_path / "map.png").convert("RGB")).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) > 100
