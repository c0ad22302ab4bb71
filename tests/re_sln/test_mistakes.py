"""What cannot be is refused before training, in one sentence that names value, rule and way out, with exit code 2."""

import shutil

import numpy as np
import pytest

from re_sln import train_cifar
from re_sln.training.trainer import Trainer
from tests.data.standin import write_cifar
from tests.programs import result_of
from tests.re_sln.small_runs import DIGITS, MODELS, left_by


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def error_of(capfd, *arguments, code=2):
    """The one sentence that it ends with."""
    capfd.readouterr()
    try:
        found = train_cifar.main(list(arguments))
    except SystemExit as stop:  # the parser's own
        found = stop.code
    err = capfd.readouterr().err
    assert found == code, err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if "error: " in line]
    return line


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["--sigma=-0.5"], ["--sigma=-0.5", "from 0 on"]),
        (["--sigma=nan"], ["--sigma=nan"]),
        (["--p=1.5"], ["--p=1.5", "[0, 1]"]),
        (["--p=-0.1"], ["--p=-0.1", "[0, 1]"]),
        (["--p=nan"], ["--p=nan", "[0, 1]"]),
        (["--sigma=0", "--mo"], ["--sigma=0.0 with --mo", "none of the four models: CE", "SLN-MO-LC"]),
        (["--lc_n_epoch=5"], ["without --mo, --lc_n_epoch=5", "none of the four models"]),
        (["--mo", "--lc_n_epoch=300"], ["--lc_n_epoch=300 of 300", "none of the four models"]),
        (["--mo", "--lc_n_epoch=0"], ["--lc_n_epoch=0", "none of the four models"]),
        (["--make_new_custom_noise", "--dataset_name=cifar10", "--image_size=32"], ["goes with --custom_noise"]),
        (
            ["--noise_mode=openset", "--dataset_name=cifar100", "--image_size=32", "--custom_noise"],
            ["openset with cifar100", "digits alone"],
        ),
        (["--network=wrn-11-2"], ["--network=wrn-11-2", "wrn-28-2"]),
        (["--network=wrn-11-2", "--check"], ["--network=wrn-11-2", "wrn-28-2"]),
        (["--network=vgg"], ["--network=vgg", "wrn-DEPTH-WIDENING"]),
        (["--network=resnet50"], ["--network=resnet50", "train_clothing1m.py"]),
        (["--network=resnet50", "--check"], ["--network=resnet50", "train_clothing1m.py"]),
        (["--batch_size=0"], ["--batch_size=0", "at least 1"]),
        (["--n_epochs=0"], ["--n_epochs=0", "at least 1"]),
        (["--workers=-1"], ["--workers=-1", "at least 0"]),
        (["--image_size=7"], ["--image_size=7", "at least 8"]),
        (["--image_size=4294967296", "--check"], ["--image_size=4294967296", "at most 256"]),
        (["--limit_train_examples=-1"], ["--limit_train_examples=-1"]),
        (["--seed=-1"], ["--seed=-1"]),
        (["--seed=-1", "--p=0"], ["--seed=-1"]),
        (["--seed=99999999999999999999", "--p=0"], ["--seed=99999999999999999999"]),
        (["--lr=0"], ["--lr=0.0", "above 0"]),
        (["--lr=inf"], ["--lr=inf"]),
        (["--ema_decay=1.1"], ["--ema_decay=1.1", "[0, 1]"]),
        (["--save_minutes=-1"], ["--save_minutes=-1"]),
        (["--norm=authors"], ["--norm=authors", "--norm=rerun"]),
        (["--dataset_name=clothing1m"], ["clothing1m", "train_clothing1m.py"]),
        (["--dataset_name=imagenet"], ["imagenet", "cifar10, cifar100, digits"]),
        (["--dataset_name=cifar10"], ["--image_size=8", "only the digits"]),
        (["--cuda_graphs"], ["--cuda_graphs", "--compile"]),
        (["--resume=x", "--run_dir=y"], ["x"]),
        (["--noise_mode=pair"], ["--noise_mode", "pair", "sym"]),
        (["--batch_size=ten"], ["--batch_size", "ten"]),
        (["--batchsize=10"], ["--batchsize=10"]),
        (["--mo=perhaps"], ["perhaps"]),
    ],
)
def test_flags(arguments, parts, capfd, tmp_path):
    line = error_of(capfd, *DIGITS, *arguments)
    for part in parts:
        assert part in line
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "data").exists()


def test_more_training_examples_than_there_are(capfd, tmp_path):
    line = error_of(capfd, *DIGITS, "--limit_train_examples=1438")
    assert "--limit_train_examples=1438" in line and "there are 1437" in line
    assert not (tmp_path / "runs").exists()


def test_a_gpu_that_is_not_there(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for arguments in ([], ["--check"]):
        line = error_of(capfd, *DIGITS, "--device=cuda", *arguments)
        assert "--device=cuda" in line and "use --device=cpu" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_data_that_is_missing_or_not_the_official(check, capfd, tmp_path):
    small = ["--network=wrn-10-1", "--p=0", *check]
    line = error_of(capfd, *small)
    assert str(tmp_path / "data") in line and "cifar10" in line
    write_cifar(tmp_path / "data", "cifar10", train=100, test=50)
    assert "--allow_unverified" in error_of(capfd, *small)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_noise_file_that_is_missing(check, capfd, tmp_path):
    write_cifar(tmp_path / "data", "cifar10", train=100, test=50)
    line = error_of(capfd, "--network=wrn-10-1", "--allow_unverified", *check)
    assert "sym0.4.csv" in line and "--custom_noise" in line
    line = error_of(capfd, "--network=wrn-10-1", "--allow_unverified", "--p=0.45", *check)
    assert "--p=0.45" in line and "--custom_noise" in line
    assert not (tmp_path / "runs").exists()


def test_a_noise_file_of_other_data(capfd, tmp_path):
    write_cifar(tmp_path / "data", "cifar10", train=100, test=50)
    folder = tmp_path / "data" / "label_noisy" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "sym0.4.csv").write_text("label,label_noisy\n" + "3,4\n" * 100)
    line = error_of(capfd, "--network=wrn-10-1", "--allow_unverified")
    assert "sym0.4.csv, line" in line and "made for other data" in line
    assert not (tmp_path / "runs").exists()


def test_a_run_that_is_not_there_names_the_nearest(capfd, tmp_path):
    line = error_of(capfd, "--resume=exp_2026-01-02_03-04-05-000007")
    assert "exp_2026-01-02_03-04-05-000007" in line and str(tmp_path / "runs" / "re_sln") in line
    for name in ("exp_2026-01-02_03-04-05-000006", "exp_2025-12-31_20-00-00-123456"):
        (tmp_path / "runs" / "re_sln" / name).mkdir(parents=True)
        (tmp_path / "runs" / "re_sln" / name / "config.yml").write_text('program: "train_cifar"\n')
    line = error_of(capfd, "--resume=exp_2026-01-02_03-04-05-000007")
    assert "the nearest: exp_2026-01-02_03-04-05-000006" in line


def test_a_run_of_another_program_or_with_a_broken_configuration(capfd, tmp_path):
    folder = tmp_path / "runs" / "re_sln" / "exp_1"
    folder.mkdir(parents=True)
    (folder / "config.yml").write_text('program: "train_real"\n')
    assert "is a run of train_real.py, not of train_cifar.py" in error_of(capfd, "--resume=exp_1")
    (folder / "config.yml").write_text("program: [\n")
    assert "config.yml" in error_of(capfd, "--resume=exp_1")


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_that_holds_another_run(finished, capfd, tmp_path, monkeypatch):
    """It is neither gone on with nor called done, whichever setting differs; the run there stays as it is."""
    folder = tmp_path / "run"
    if not finished:
        original = Trainer.end_epoch

        def dies(self):
            if self.epoch == 2:
                raise OSError("gone")
            return original(self)

        monkeypatch.setattr(Trainer, "end_epoch", dies)
    command = [*DIGITS, *MODELS["sln-mo"], "--n_epochs=2", "--save_minutes=0", f"--run_dir={folder}"]
    assert train_cifar.main(command) == (0 if finished else 1)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    others = {"seed": "124", "network": "wrn-10-2", "sigma": "0.25", "p": "0.2", "mo": "false", "n_epochs": "3"}
    for name, value in others.items():
        line = error_of(capfd, *command, f"--{name}={value}")
        assert f"{folder} holds a run with another configuration" in line and f"{name}: " in line
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_all_checkpoints_damaged(capfd, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    command = [*DIGITS, *MODELS["sln"], "--n_epochs=1", f"--run_dir={folder}"]
    assert train_cifar.main(command) == 0
    (folder / "result.json").unlink()
    for path in folder.glob("checkpoint_*.pt"):
        path.write_bytes(b"nothing")
    assert "move the folder away" in error_of(capfd, *command)


def test_a_run_whose_noise_file_changed_does_not_go_on(capfd, tmp_path):
    command = [*DIGITS, *MODELS["ce"], "--n_epochs=1", f"--run_dir={tmp_path / 'run'}"]
    assert train_cifar.main(command) == 0
    (tmp_path / "run" / "result.json").unlink()  # as if it had been killed
    (path,) = (tmp_path / "data").rglob("sym0.4_custom_seed123.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], *(f"{line.partition(',')[0]},0" for line in lines[1:])]) + "\n")
    assert "noise_sha256" in error_of(capfd, *command)


@pytest.mark.parametrize("arguments", [["--lr=1e30"], ["--lr=1e30", "--limit_train_examples=64"]])
def test_a_loss_that_is_no_number_ends_with_1_and_names_the_step(arguments, capfd, tmp_path):
    """In training, or, after a single step, in the test that follows."""
    line = error_of(capfd, *DIGITS, *MODELS["ce"], "--n_epochs=2", *arguments, f"--run_dir={tmp_path / 'run'}", code=1)
    assert "not finite" in line and "step " in line and "--lr" in line
    assert not result_of(tmp_path / "run")["finished"]
    assert not (tmp_path / "run" / "model.pth").exists()


def test_the_step_that_is_named_is_the_first(capfd, tmp_path, monkeypatch):
    original = Trainer.update

    def update(self, images, *rest):
        original(self, images * float("nan") if self.step + 1 == 5 else images, *rest)

    monkeypatch.setattr(Trainer, "update", update)
    line = error_of(capfd, *DIGITS, *MODELS["ce"], "--n_epochs=3", f"--run_dir={tmp_path / 'run'}", code=1)
    assert "not finite in step 5:" in line
    # nothing of what came after is kept
    assert not list((tmp_path / "run").glob("checkpoint_*"))


def test_a_folder_that_cannot_be_written(capfd, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = error_of(capfd, *DIGITS, "--n_epochs=1", f"--run_dir={tmp_path / 'file' / 'run'}")
    assert str(tmp_path / "file") in line


def test_a_run_folder_that_was_moved_is_still_the_same_run(capfd, tmp_path):
    command = [*DIGITS, *MODELS["sln"], "--n_epochs=1"]
    assert train_cifar.main([*command, f"--run_dir={tmp_path / 'run'}"]) == 0
    shutil.move(tmp_path / "run", tmp_path / "moved")
    before = left_by(tmp_path / "moved")
    capfd.readouterr()
    assert train_cifar.main([*command, f"--run_dir={tmp_path / 'moved'}"]) == 0
    assert "is finished" in capfd.readouterr().err
    assert left_by(tmp_path / "moved") == before
    assert np.isfinite(result_of(tmp_path / "moved")["metrics"]["accuracy"])


def test_check_reads_the_noisy_labels(tmp_path, capfd):
    """What it accepts, training accepts."""
    from tests.re_sln.stand_ins import write_noise

    write_cifar(tmp_path / "data", train=60, test=20)
    write_noise(tmp_path / "data", "cifar10", "sym")
    command = ["--noise_mode=sym", "--p=0.4", "--network=wrn-10-1", "--n_epochs=1", "--allow_unverified"]
    assert train_cifar.main([*command, "--check"]) == 0
    path = tmp_path / "data" / "label_noisy" / "cifar10" / "sym0.4.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b",", b";"))
    assert train_cifar.main([*command, "--check"]) == 0
    path.write_text(path.read_text() + "3;12\n")
    for check in (["--check"], []):
        assert "sym0.4.csv, line 62: '3,12' must be a label and a class 0…9" in error_of(capfd, *command, *check)


def test_check_reads_unverified_batches(tmp_path, capfd):
    folder = write_cifar(tmp_path / "data", train=60, test=20)
    command = ["--dataset_name=cifar10", "--p=0", "--network=wrn-10-1", "--allow_unverified", "--check"]
    assert train_cifar.main(command) == 0
    (folder / "data_batch_3").write_bytes((folder / "data_batch_3").read_bytes()[:-9])
    assert "data_batch_3 is not a readable CIFAR batch" in error_of(capfd, *command)
