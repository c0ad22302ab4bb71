"""Clothing1M through its command line, on a stand-in of a few photographs of odd sizes."""

import itertools

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from common.pytorch.torch_files import write_tensors
from re_sln import train_clothing1m
from re_sln.datasets.clothing1m import load_clothing1m
from re_sln.training import experiment, networks
from re_sln.training import trainer as training
from re_sln.training.networks import pretrained_resnet50
from re_sln.training.trainer import Trainer
from re_sln.training.wide_resnet import build_network
from tests.programs import metrics_of, result_of

LISTS = {"noisy_train": 6, "clean_val": 3, "clean_test": 3}
SHORT = ["--network=wrn-10-1", "--weights=none", "--n_epochs=2", "--batch_size=4", "--workers=1", "--lr=0.01"]


def write_clothing1m(root):
    rng = np.random.default_rng(0)
    for name, count in LISTS.items():
        lines = []
        for k in range(count):
            path = root / "clothing1m" / "images" / str(k) / f"{name} {k}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            size = [(260, 300), (300, 270), (256, 256)][k % 3]
            Image.fromarray(rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)).resize(size).save(path)
            lines.append(f"{path.relative_to(root / 'clothing1m')} {(0, 13, 7)[k % 3]}\n")
        (root / "clothing1m" / "annotations").mkdir(exist_ok=True)
        (root / "clothing1m" / "annotations" / f"{name}.txt").write_text("".join(lines))
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(write_clothing1m(tmp_path / "data")))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "data" / "clothing1m"


def test_the_result_is_of_the_epoch_that_is_best_on_clean_validation(root, tmp_path, monkeypatch):
    """Three epochs whose accuracies are made up: the second is best on validation, the third only as good."""
    accuracies = [(0.9, 0.2), (0.4, 0.6), (0.8, 0.6)]  # test, validation
    made_up, original = itertools.chain(*accuracies), training.accuracy_and_loss
    monkeypatch.setattr(training, "accuracy_and_loss", lambda *given: (next(made_up), original(*given)[1]))
    written = []

    def write(path, content):
        written.append(path.name)
        write_tensors(path, content)

    monkeypatch.setattr(experiment, "write_tensors", write)
    command = [*SHORT, "--mo", "--lc_n_epoch=2", "--n_epochs=3", "--ema_decay=0.5", f"--run_dir={tmp_path / 'run'}"]
    assert train_clothing1m.main(command) == 0
    result, lines = result_of(tmp_path / "run"), metrics_of(tmp_path / "run")
    assert [(line["accuracy/test"], line["accuracy/validation"]) for line in lines] == accuracies
    assert result["metrics"] == {"accuracy": 0.4, "accuracy_last_epoch": 0.8}
    assert (result["metrics_step"], result["finished"]) == (4, True)
    assert result["best_on_test"]["accuracy"] == {"value": 0.9, "step": 2, "epoch": 1}
    # both models of epochs 1 and 2, none after that
    assert written == ["model.pth", "model_ema.pth"] * 2
    last = torch.load(sorted((tmp_path / "run").glob("checkpoint_*.pt"))[-1], weights_only=True)
    kept = torch.load(tmp_path / "run" / "model_ema.pth", weights_only=True)
    assert not torch.equal(kept["linear.weight"], last["average"]["linear.weight"])
    config = yaml.safe_load((tmp_path / "run" / "config.yml").read_text())
    expected = {"sigma": 0.2, "momentum": 0.9, "weight_decay": 0.001, "norm": "authors", "images_per_class": 18976}
    assert expected.items() <= config.items()
    assert "loss/train_clean" not in lines[0]


class Killed(BaseException):
    """The process is killed here."""


@pytest.mark.parametrize("written", [False, True])
def test_the_weights_are_of_the_result_after_a_kill(root, tmp_path, monkeypatch, written):
    """Killed before or after the weights of epoch 2 are written; on a GPU, its repetition need not be as good."""
    validation, made_up, weights = {1: 0.2, 2: 0.6, 3: 0.1}, Trainer.keep_scores, {}
    write_models = experiment.write_models

    def killed(trainer, folder):
        weights[trainer.step] = {name: value.clone() for name, value in trainer.networks.model.state_dict().items()}
        if written or trainer.step == 2:
            write_models(trainer, folder)
        if trainer.step == 4:
            raise Killed

    def keep_scores(self, values):
        made_up(self, values | {"accuracy/validation": validation[self.epoch]})

    monkeypatch.setattr(Trainer, "keep_scores", keep_scores)
    command = [*SHORT, "--n_epochs=3", "--workers=0", "--save_minutes=0", f"--run_dir={tmp_path / 'run'}"]
    with monkeypatch.context() as dying:
        dying.setattr(experiment, "write_models", killed)
        with pytest.raises(Killed):
            train_clothing1m.main(command)
    validation[2] = 0.1
    assert train_clothing1m.main(command) == 0
    expected = weights[result_of(tmp_path / "run")["metrics_step"]]
    found = torch.load(tmp_path / "run" / "model.pth", weights_only=True)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_published_defaults(root, capfd, tmp_path):
    assert train_clothing1m.main(["--check", "--weights=none"]) == 0
    config = yaml.safe_load(capfd.readouterr().out)
    expected = {"batch_size": 32, "n_epochs": 10, "lr": 0.001, "network": "resnet50", "norm": "authors", "sigma": 0.2,
                "images_per_class": 18976, "weight_decay": 0.001, "seed": 123}  # fmt: skip
    assert expected.items() <= config.items()
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_resnet50_trains_and_corrects_labels(root, tmp_path):
    command = ["--weights=none", "--network=resnet50", "--mo", "--lc_n_epoch=1", "--n_epochs=2", "--batch_size=3",
               "--images_per_class=1", f"--run_dir={tmp_path / 'run'}"]  # fmt: skip
    assert train_clothing1m.main(command) == 0
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [1, 2]
    weights = torch.load(tmp_path / "run" / "model_ema.pth", weights_only=True)
    assert weights["fc.weight"].shape == (14, 2048)


def test_weights_of_a_file_go_into_all_but_the_last_layer(root, tmp_path):
    source = pretrained_resnet50("none", 1000, 9)
    torch.save(source.state_dict(), tmp_path / "own.pth")
    states = torch.random.get_rng_state()
    one, other = (pretrained_resnet50(str(tmp_path / "own.pth"), 14, seed) for seed in (1, 2))
    assert torch.equal(torch.random.get_rng_state(), states)
    for name, value in source.state_dict().items():
        if not name.startswith("fc."):
            assert torch.equal(one.state_dict()[name], value)
    assert one.fc.weight.shape == (14, 2048)
    assert not torch.equal(one.fc.weight, other.fc.weight)


def mistake(arguments, capfd, *parts):
    assert train_clothing1m.main([*SHORT, *arguments]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    for part in parts:
        assert part in line


def test_weights_that_are_missing_say_where_they_come_from(root, capfd):
    address = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    for check in ([], ["--check"]):
        mistake(["--network=resnet50", "--weights=imagenet1k_v1", *check], capfd, address, "0676ba61", "--weights=none")
        mistake(["--network=resnet50", "--weights=/nowhere/mine.pth", *check], capfd, "/nowhere/mine.pth", address)
    assert str(networks.weights_path("imagenet1k_v1")).endswith("torch/hub/checkpoints/resnet50-0676ba61.pth")


def test_weights_that_do_not_fit_are_refused(root, tmp_path, capfd):
    torch.save(build_network("wrn-10-1", 10, 0)[0].state_dict(), tmp_path / "other.pth")
    mistake(["--network=resnet50", f"--weights={tmp_path / 'other.pth'}"], capfd, "other.pth", "no ResNet-50")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    mistake(["--network=resnet50", f"--weights={tmp_path / 'broken.pth'}"], capfd, "broken.pth", "cannot be read")


def test_each_list_has_its_own_place(root):
    tests = root / "annotations" / "clean_test.txt"
    tests.write_text(tests.read_text().replace(" 13\n", " 5\n"))
    data = load_clothing1m(root, "authors")
    places = {
        "noisy_train": (data.train, data.given),
        "clean_val": (data.test_images["validation"], data.tests["validation"]),
        "clean_test": (data.test_images["test"], data.tests["test"]),
    }
    for name, (files, labels) in places.items():
        assert [path.name for path in files] == [f"{name} {k}.jpg" for k in range(LISTS[name])]
        second = 5 if name == "clean_test" else 13
        assert labels.tolist() == [(0, second, 7)[k % 3] for k in range(LISTS[name])]


def test_files_that_are_missing_are_named(root, capfd, tmp_path):
    (root / "images" / "4" / "noisy_train 4.jpg").unlink()
    mistake([], capfd, "noisy_train 4.jpg", "1 file(s) of noisy_train.txt are missing")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("line", ["images/0/x.jpg", "images/0/x.jpg 14", "images/0/x.jpg -1", "", "3"])
def test_lines_that_are_none_are_named(line, root, capfd):
    path = root / "annotations" / "clean_val.txt"
    path.write_text(path.read_text() + line + "\n")
    mistake([], capfd, "clean_val.txt, line 4", "a label 0…13")


def test_a_file_that_is_no_image_is_named_in_one_sentence(root, capfd):
    (root / "images" / "2" / "noisy_train 2.jpg").write_bytes(b"no image")
    mistake([], capfd, "noisy_train 2.jpg")


def test_a_folder_without_it_says_how_to_get_it(root, capfd, tmp_path):
    mistake([f"--data_dir={tmp_path}"], capfd, str(tmp_path), "github.com/Cysu/noisy_label", "$DATA_DIR")
    (root / "annotations" / "clean_test.txt").write_text("")
    mistake([], capfd, "clean_test.txt is empty")


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--norm=rerun"], "use --norm=authors"),
        (["--norm=rerun", "--check"], "use --norm=authors"),
        (["--images_per_class=0"], "--images_per_class=0"),
        (["--images_per_class=-2"], "--images_per_class=-2"),
        (["--loader=device"], "use --loader=dataloader"),
        (["--loader=device", "--check"], "use --loader=dataloader"),
        (["--capture_steps", "--check"], "clothing1m is read file by file"),
        (["--dataset_name=cifar10"], "train_clothing1m reads clothing1m"),
    ],
)
def test_flags_that_do_not_go_with_it(root, arguments, part, capfd):
    mistake(arguments, capfd, part)
