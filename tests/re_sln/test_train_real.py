"""Animal-10N: reading its folder, and the program through its command line, on stand-ins of 64×64 JPEGs."""

import numpy as np
import pytest
import yaml
from PIL import Image
from torchvision.transforms import functional

from common.errors import UsageError
from re_sln import train_real
from re_sln.datasets.animal10n import load_animal10n
from tests.programs import metrics_of, result_of
from tests.re_sln.small_runs import left_by

COUNTS = {"training": 45, "testing": 20}
SHORT = ["--network=wrn-10-1", "--n_epochs=2", "--batch_size=32", "--lr=0.01"]


def write_animal10n(root, size=64):
    rng = np.random.default_rng(0)
    for part, count in COUNTS.items():
        folder = root / "animal-10n" / part
        folder.mkdir(parents=True)
        for k in range(count):
            colour = np.full((8, 8, 3), 20 * (k % 10)) + rng.integers(0, 60, (8, 8, 3))
            image = colour.repeat(size // 8, axis=0).repeat(size // 8, axis=1).astype(np.uint8)
            Image.fromarray(image).save(folder / f"{k % 10}_{k:04d}.jpg")
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(write_animal10n(tmp_path / "data")))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    return tmp_path / "data" / "animal-10n"


def files(root, part):
    return sorted((root / part).iterdir())


def test_images_labels_and_normalisation_are_what_a_loop_over_files_finds(root):
    data = load_animal10n(None, "rerun")
    assert data.given.tolist() == [int(path.name.split("_")[0]) for path in files(root, "training")]
    assert data.tests["test"].tolist() == [int(path.name.split("_")[0]) for path in files(root, "testing")]
    assert (data.num_classes, data.class_names[5], data.knows_noise) == (10, "jaguar", False)
    for found, part in ((data.train, "training"), (data.test_images["test"], "testing")):
        assert (found.dtype, found.shape) == (np.uint8, (COUNTS[part], 32, 32, 3))
        for image, path in zip(found, files(root, part), strict=True):
            np.testing.assert_array_equal(image, np.asarray(functional.resize(Image.open(path), 32)))
    full = np.stack([np.asarray(Image.open(path)) for path in files(root, "training")]) / 255
    np.testing.assert_allclose(data.mean, full.mean(axis=(0, 1, 2)), rtol=1e-9)  # of the 64×64 images
    np.testing.assert_allclose(data.std, full.std(axis=(0, 1, 2)), rtol=1e-9)
    assert not np.allclose(data.std, (data.train / 255).std(axis=(0, 1, 2)), rtol=1e-3)


def test_label_correction_and_resume_by_the_same_command(root, tmp_path):
    command = [*SHORT, "--dataset_name", "animal-10n", "--mo", "--lc_n_epoch=1", "--ema_decay=0.5", "--seed=3"]
    assert train_real.main([*command, f"--run_dir={tmp_path / 'one'}"]) == 0
    assert train_real.main([*command, f"--run_dir={tmp_path / 'two'}", "--loader=dataloader"]) == 0
    assert left_by(tmp_path / "one") == left_by(tmp_path / "two")
    lines, result = metrics_of(tmp_path / "one"), result_of(tmp_path / "one")
    config = yaml.safe_load((tmp_path / "one" / "config.yml").read_text())
    assert (config["sigma"], config["model"], config["augmentation"]) == (0.5, "sln-mo-lc", "crop_flip")
    assert "noise_mode" not in config and "p" not in config
    # nobody knows which labels are wrong
    assert all(line.keys() == {"step", "epoch", "accuracy/train", "accuracy/test", "loss/test", "loss/train_all"}
               for line in lines)  # fmt: skip
    assert "noise_rate" not in result["notes"]
    assert result["finished"] and result["dataset"]["name"] == "animal-10n"
    assert "other counts than the official" in result["dataset"]["version"]
    assert [path.name for path in (tmp_path / "one").glob("loss_train_*")] == ["loss_train_all"]


def test_check(root, capfd, tmp_path):
    assert train_real.main(["--check"]) == 0
    assert yaml.safe_load(capfd.readouterr().out)["dataset_name"] == "animal-10n"
    assert not (tmp_path / "runs").exists()


def mistake(arguments, capfd, *parts):
    capfd.readouterr()
    assert train_real.main([*SHORT, *arguments]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    for part in parts:
        assert part in line


def test_misnamed_files_are_named(root, capfd, tmp_path):
    bad = ["x_1.jpg", "10_2.jpg", "cat.jpg"]
    for name in bad:
        (root / "training" / name).write_bytes(files(root, "training")[0].read_bytes())
    mistake([], capfd, "3 file(s)", "begin with a label", *bad)
    mistake(["--check"], capfd, "3 file(s)", *bad)
    assert not (tmp_path / "runs").exists()


def test_unreadable_files_are_named(root, capfd, tmp_path):
    (root / "training" / "1_bad.jpg").write_bytes(b"no image")
    cut = files(root, "training")[3]
    cut.write_bytes(cut.read_bytes()[:300])
    mistake([], capfd, "2 file(s) cannot be read as images", "1_bad.jpg", cut.name)
    assert not (tmp_path / "runs").exists()


def test_images_of_another_size_are_named(root, capfd):
    Image.new("RGB", (50, 64)).save(root / "testing" / "2_narrow.jpg")
    mistake([], capfd, "2_narrow.jpg (50×64)", "are not 64×64")


def test_many_bad_files_are_counted(root, capfd):
    for k in range(15):
        (root / "training" / f"bad{k}.jpg").touch()
    mistake([], capfd, "15 file(s)", "and 5 more")


def test_a_data_folder_without_it_says_how_to_get_it(root, capfd, tmp_path):
    mistake(
        [f"--data_dir={tmp_path / 'elsewhere'}"], capfd, str(tmp_path / "elsewhere"), "raw_image_ver.zip", "$DATA_DIR"
    )
    for path in files(root, "testing"):
        path.unlink()
    mistake([], capfd, "testing", "no images")


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--norm=authors"], "--norm=rerun"),
        (["--dataset_name=cifar10"], "train_real reads animal-10n"),
        (["--limit_train_examples=46"], "there are 45"),
    ],
)
def test_flags_that_do_not_go_with_it(root, arguments, part, capfd):
    mistake(arguments, capfd, part)


@pytest.mark.parametrize("flag", ["--noise_mode=sym", "--p=0.4", "--custom_noise", "--image_size=32"])
def test_it_has_no_flags_of_noise(flag, root, capfd):
    with pytest.raises(SystemExit, match="2"):
        train_real.main([flag])
    assert f"unrecognized arguments: {flag.partition('=')[0]}" in capfd.readouterr().err


def test_load_names_a_file_that_lost_its_rights(root):
    path = files(root, "training")[0]
    path.unlink()
    path.symlink_to(root / "gone.jpg")
    with pytest.raises(UsageError, match=path.name):
        load_animal10n(None, "rerun")
