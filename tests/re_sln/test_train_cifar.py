"""The program through its command line: the digits, and stand-ins of CIFAR in the official layout."""

import os

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from data.cifar import load_cifar
from data.digits import load_digits
from re_sln import train_cifar
from re_sln.datasets import load as datasets
from re_sln.training import trainer as training
from re_sln.training.wide_resnet import build_network
from tests.data.standin import write_cifar
from tests.programs import ROOT, metrics_of, result_of, run_as_main, start
from tests.re_sln.small_runs import DIGITS, MODELS, config_of, left_by

SHORT = ["--network=wrn-10-1", "--n_epochs=1", "--limit_train_examples=100", "--batch_size=64", "--allow_unverified"]


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Folders of runs and data for all tests here; with the stand-ins and noise files of the authors' layout."""
    base = tmp_path_factory.mktemp("places")
    for name in ("cifar10", "cifar100"):
        write_cifar(base / "data", name, train=200, test=50)
        labels = load_cifar(name, base / "data", True).train_labels
        folder, classes = base / "data" / "label_noisy" / name, int(name.removeprefix("cifar"))
        folder.mkdir(parents=True)
        for mode in ("sym", "asym", "dependent"):
            noisy = np.where(np.arange(200) % 5 < 2, (labels + len(mode)) % classes, labels)
            rows = [f"{label},{given}" for label, given in zip(labels, noisy, strict=True)]
            (folder / f"{mode}0.4.csv").write_text("\r\n".join(["label,label_noisy", *rows, ""]))
    return base


@pytest.fixture(autouse=True)
def _environment(places, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(places / "data"))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))


def run(*arguments, code=0):
    assert train_cifar.main(list(arguments)) == code


def folder_of(tmp_path):
    (folder,) = (tmp_path / "runs" / "re_sln").glob("exp_*")
    return folder


def scalars_of(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.parametrize("model", MODELS)
def test_each_model_leaves_a_complete_record(model, tmp_path, places, capfd):
    run(*DIGITS, *MODELS[model], "--n_epochs=3")
    folder = folder_of(tmp_path)
    result, lines = result_of(folder), metrics_of(folder)
    config = yaml.safe_load((folder / "config.yml").read_text())
    assert [(line["step"], line["epoch"]) for line in lines] == [(3, 1), (6, 2), (9, 3)]
    names = {"accuracy/train", "accuracy/test", "loss/test", "loss/train_all", "loss/train_clean", "loss/train_noisy"}
    assert all(line.keys() == {"step", "epoch"} | names for line in lines)
    assert result["finished"] and result["sub_project"] == "re_sln" and result["notes"]["model"] == model
    assert result["metrics"]["accuracy"] == lines[-1]["accuracy/test"]
    assert result["metrics_step"] == 9
    assert result["best_on_test"]["accuracy"]["value"] == max(line["accuracy/test"] for line in lines)
    assert result["dataset"]["name"] == "digits"
    assert "150" in result["notes"]["shortened"]
    assert 0.2 < result["notes"]["noise_rate"] < 0.6
    assert (config["model"], config["sigma"], config["custom_noise"]) == (model, 0 if model == "ce" else 0.5, True)
    assert config["noise_sha256"] == result["notes"]["noise_sha256"]
    # TensorBoard, under the tags of the published logs
    for tag in ("accuracy/train", "accuracy/test", "loss/test"):
        expected = [(line["epoch"], np.float32(line[tag])) for line in lines]
        assert scalars_of(folder)[tag] == expected
    for group in ("all", "clean", "noisy"):
        expected = [(line["epoch"], np.float32(line[f"loss/train_{group}"])) for line in lines]
        assert scalars_of(folder / f"loss_train_{group}") == {"loss/train": expected}
    # the weights are those that were tested
    averages = folder / "model_ema.pth"
    assert averages.exists() == (model in ("sln-mo", "sln-mo-lc"))
    (network,) = build_network("wrn-10-1", 10, 0)
    tested = averages if averages.exists() else folder / "model.pth"
    network.load_state_dict(torch.load(tested, weights_only=True))
    digits = load_digits(8)
    seen = digits.train_images / 255
    images = (digits.test_images / 255 - seen.mean(axis=(0, 1, 2))) / seen.std(axis=(0, 1, 2))
    with torch.no_grad():
        logits = network.eval()(torch.tensor(images.transpose(0, 3, 1, 2), dtype=torch.float32))
    right = (logits.argmax(dim=1).numpy() == digits.test_labels).mean()
    assert result["metrics"]["accuracy"] == pytest.approx(right, abs=1.5 / 360)
    assert capfd.readouterr().out.count("epoch ") == 3


def test_the_result_is_the_last_epochs_and_the_best_is_kept_apart(tmp_path, monkeypatch):
    made_up, original = iter([0.2, 0.9, 0.4]), training.accuracy_and_loss
    monkeypatch.setattr(training, "accuracy_and_loss", lambda *given: (next(made_up), original(*given)[1]))
    run(*DIGITS, *MODELS["sln"], "--n_epochs=3")
    result = result_of(folder_of(tmp_path))
    assert (result["metrics"], result["metrics_step"]) == ({"accuracy": 0.4, "accuracy_last_epoch": 0.4}, 9)
    assert result["best_on_test"] == {"accuracy": {"value": 0.9, "step": 6, "epoch": 2}}


def test_it_learns(tmp_path):
    run("--dataset_name=digits", "--image_size=8", "--network=wrn-10-1", "--p=0", "--sigma=0", "--lr=0.05",
        "--n_epochs=6", "--seed=1")  # fmt: skip
    lines = metrics_of(folder_of(tmp_path))
    assert lines[-1]["accuracy/test"] > 0.85
    assert lines[-1]["loss/train_all"] < lines[0]["loss/train_all"]
    # clean labels: no group of noisy ones
    assert all("loss/train_noisy" not in line and "loss/train_clean" in line for line in lines)


@pytest.mark.parametrize(
    "arguments, name, rate",
    [
        (["--noise_mode=sym", "--p=0.4"], "cifar10", 0.4),
        (["--noise-mode", "asym", "--mo", "--lc_n_epoch", "1", "--n_epochs", "2"], "cifar10", 0.4),
        (["--noise_mode=dependent", "--norm=authors", "--sigma=0"], "cifar10", 0.4),
        (["--noise_mode=sym", "--custom_noise", "--p=0.3", "--custom_rng=rerun"], "cifar10", None),
        (["--noise_mode=openset", "--custom_noise", "--p=0.5"], "cifar10", None),
        (["--noise_mode=dependent", "--custom_noise", "--dependent_epochs=1"], "cifar10", None),
        (["--noise_mode=asym"], "cifar100", 0.4),
        (["--noise_mode=sym", "--custom_noise", "--make_new_custom_noise"], "cifar100", None),
        (["--p=0"], "cifar100", 0.0),
    ],
)
def test_cifar_with_noise_of_every_mode(arguments, name, rate, tmp_path):
    run(*SHORT, f"--dataset_name={name}", *arguments)
    result = result_of(folder_of(tmp_path))
    assert result["finished"] and result["dataset"]["name"] == f"{name}-standin"
    if rate is None:
        assert 0.2 < result["notes"]["noise_rate"] < 0.65
    else:
        assert result["notes"]["noise_rate"] == rate


def test_the_published_network_on_cifar(tmp_path):
    run(*SHORT, "--network=wrn-28-2", "--limit_train_examples=40", "--batch_size=20")
    weights = torch.load(folder_of(tmp_path) / "model.pth", weights_only=True)
    assert len(weights) == 183 and sum(value.numel() for value in weights.values()) == 1469642 + 3616 + 25


def test_open_set_noise_trains_on_the_foreign_images(places):
    config = config_of(
        dataset_name="cifar10", image_size=32, noise_mode="openset", custom_noise=True, p=0.1, allow_unverified=True
    )
    data = datasets.load(config)
    (file,) = (places / "data" / "label_noisy" / "cifar10").glob("openset0.1_custom_seed123.npy")
    clean = load_cifar("cifar10", places / "data", True)
    foreign = (data.train != clean.train_images).any(axis=(1, 2, 3))
    assert foreign.sum() == 20 and (data.is_noisy == foreign).all()
    assert (data.train == np.load(file)).all() and (data.given == clean.train_labels).all()
    # mean and std are of the clean images
    np.testing.assert_allclose(data.mean, (clean.train_images / 255).mean(axis=(0, 1, 2)))
    hundred = load_cifar("cifar100", places / "data", True).train_images
    assert all((image == hundred).all(axis=(1, 2, 3)).any() for image in data.train[foreign])


def test_the_same_command_gives_the_same_bits_and_another_seed_others(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        run(*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3", f"--seed={seed}", f"--run_dir={tmp_path / name}")
    assert left_by(tmp_path / "one") == left_by(tmp_path / "two")
    assert left_by(tmp_path / "one") != left_by(tmp_path / "three")


def test_reading_images_through_workers_changes_no_bit(tmp_path):
    common = [*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3", "--augmentation=crop_flip"]
    run(*common, "--loader=device", f"--run_dir={tmp_path / 'device'}")
    run(*common, "--loader=dataloader", f"--run_dir={tmp_path / 'workers'}")
    run(*common, "--augmentation=none", f"--run_dir={tmp_path / 'plain'}")
    assert left_by(tmp_path / "device") == left_by(tmp_path / "workers")
    assert left_by(tmp_path / "device") != left_by(tmp_path / "plain")


@pytest.fixture
def _settings():
    """Settings of torch that are global, as they were."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.usefixtures("_settings")
def test_deterministic_and_channels_last(tmp_path):
    common = [*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3"]
    run(*common, f"--run_dir={tmp_path / 'plain'}")
    run(*common, "--channels_last", f"--run_dir={tmp_path / 'last'}")
    run(*common, "--deterministic", f"--run_dir={tmp_path / 'deterministic'}")
    assert torch.are_deterministic_algorithms_enabled()
    assert left_by(tmp_path / "plain") == left_by(tmp_path / "deterministic")
    plain, last = metrics_of(tmp_path / "plain")[0], metrics_of(tmp_path / "last")[0]
    assert last["loss/train_all"] == pytest.approx(plain["loss/train_all"], abs=1e-3)


def test_bfloat16_is_near_and_weights_stay_float32(tmp_path):
    common = [*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3"]
    run(*common, f"--run_dir={tmp_path / 'plain'}")
    run(*common, "--amp=bf16", f"--run_dir={tmp_path / 'bf16'}")
    plain, bf16 = metrics_of(tmp_path / "plain")[0], metrics_of(tmp_path / "bf16")[0]
    assert bf16["loss/train_all"] == pytest.approx(plain["loss/train_all"], rel=0.05)
    assert all(bf16[name] != plain[name] for name in ("loss/train_all", "loss/test"))
    for name in ("model.pth", "model_ema.pth"):
        weights = torch.load(tmp_path / "bf16" / name, weights_only=True)
        assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_compiled_it_is_near(tmp_path):
    common = [*DIGITS, *MODELS["sln-mo-lc"], "--n_epochs=3"]
    run(*common, f"--run_dir={tmp_path / 'plain'}")
    run(*common, "--compile", f"--run_dir={tmp_path / 'compiled'}")
    plain, compiled = metrics_of(tmp_path / "plain")[0], metrics_of(tmp_path / "compiled")[0]
    assert compiled["loss/train_all"] == pytest.approx(plain["loss/train_all"], abs=1e-3)
    # files of weights know nothing of compilation
    assert left_by(tmp_path / "plain")[2].keys() == left_by(tmp_path / "compiled")[2].keys()


def test_training_accuracy_is_against_the_target_without_noise_unless_the_authors_is_asked_for(tmp_path):
    common = [*DIGITS, "--sigma=2", "--n_epochs=2"]
    run(*common, f"--run_dir={tmp_path / 'rerun'}")
    run(*common, "--train_accuracy=authors", f"--run_dir={tmp_path / 'authors'}")
    rerun, authors = metrics_of(tmp_path / "rerun"), metrics_of(tmp_path / "authors")
    assert [line.pop("accuracy/train") for line in rerun] != [line.pop("accuracy/train") for line in authors]
    assert rerun == authors


@pytest.mark.parametrize("arguments", [DIGITS, [*SHORT, "--dataset_name=cifar10", "--sigma=0.2"]])
def test_check_prints_the_resolved_configuration_and_leaves_nothing(arguments, tmp_path, capfd):
    run(*arguments, "--check")
    config = yaml.safe_load(capfd.readouterr().out)
    cifar = "--dataset_name=cifar10" in arguments
    assert config["sigma"] == (0.2 if cifar else 1.0)
    assert config["data_name"] == ("cifar10-standin" if cifar else "digits")
    assert (config["model"], config["noise_mode"], config["augmentation"]) == (
        "sln", "sym", "crop_flip" if cifar else "none"
    )  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_runs_as_a_module_and_spells_flags_with_hyphens(capfd):
    arguments = ["--dataset-name", "digits", "--image-size", "16", "--check", "--n-epochs=7"]
    assert run_as_main(["-m", "re_sln.train_cifar"], *arguments) == 0
    config = yaml.safe_load(capfd.readouterr().out)
    assert (config["image_size"], config["n_epochs"]) == (16, 7)


def test_help_needs_no_torch():
    code = (
        "import sys; from re_sln import train_cifar\n"
        "try: train_cifar.main(['--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    process = start(["-c", code], cwd=ROOT)
    out, err = process.communicate()
    assert process.returncode == 0, err
    for flag in ("--sigma", "--mo", "--lc_n_epoch", "--noise_mode", "--custom_noise", "--resume"):
        assert flag in out
