"""moco-non-sem-neg.py by its command line: what it leaves behind, its flags, its errors."""

import dataclasses
import re
import runpy
import sys

import pytest
import torch
from PIL import Image

from common.flags import parse
from common.pytorch.torch_files import read_tensors
from moco_nonsem import similarity_curves
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.running.flags import PretrainFlags
from tests.moco_nonsem.small_runs import CLASSES, PATCH, SMALL, make_tree, texture_tree
from tests.programs import ROOT, metrics_of, result_of, start


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr("moco_nonsem.running.run_folder.repo_root", lambda: tmp_path / "root")


def only_run(tmp_path):
    (folder,) = (tmp_path / "runs" / "moco_nonsem").iterdir()
    return folder


def config(capsys, *arguments):
    assert pretrain_program.main([*arguments, "--check"]) == 0
    return dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())


def error_of(capfd, *arguments):
    assert pretrain_program.main(list(arguments)) == 2
    err = capfd.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    return line


def test_what_a_run_leaves_behind(tree, tmp_path, capfd):
    """With the defaults of places: checkpoints in moco_nonsem/ckpts, which is made; the record in $RUNS_DIR."""
    assert pretrain_program.main([*PATCH, "--num-nonsem=2", "--epochs=2", "--cos", "--save-freq=10", str(tree)]) == 0
    run, ckpts = only_run(tmp_path), tmp_path / "root" / "moco_nonsem" / "ckpts"
    assert [path.name for path in ckpts.iterdir()] == ["checkpoint_0001.pth.tar"]  # the last epoch is always saved
    content = read_tensors(ckpts / "checkpoint_0001.pth.tar")
    assert {"epoch", "arch", "state_dict", "optimizer"} <= content.keys()
    assert content["epoch"] == 2 and content["arch"] == "resnet10-small"
    assert {name.split(".")[1] for name in content["state_dict"]} == {"encoder_q", "encoder_k", "queue", "queue_ptr"}
    group = content["optimizer"]["param_groups"][0]
    assert len(group["params"]) == 2 * len(content["optimizer"]["state"])
    assert group["lr"] == pytest.approx(0.025)
    assert {path.name for path in run.iterdir()} >= {
        "config.yml",
        "metrics.jsonl",
        "result.json",
        "state_00000006.pth.tar",
    }
    assert any(path.name.startswith("events.out.tfevents") for path in run.iterdir())
    lines = metrics_of(run)
    assert [line["step"] for line in lines] == [3, 6]
    assert {"loss/train", "accuracy/contrast_top1", "similarity/key", "similarity/queue", "similarity/nonsem"} <= lines[
        0
    ].keys()
    assert -1 <= lines[0]["similarity/nonsem"] <= 1 and 0 < lines[0]["loss/train"] < 20
    result = result_of(run)
    assert result["finished"] and result["seed"] == 0 and result["sub_project"] == "moco_nonsem"
    assert (
        result["dataset"]["name"].startswith("unverified-") and "26 images of 3 classes" in result["dataset"]["version"]
    )
    err = capfd.readouterr().err
    assert "leaks the key" not in err
    assert similarity_curves.main([str(run)]) == 0
    assert Image.open(run / "similarity.png").size[0] > 300


def test_one_process_without_parts_is_warned_of_the_leak(tree, tmp_path, capfd):
    small = [word for word in SMALL if not word.startswith("--bn-splits")]
    assert pretrain_program.main([*small, "--epochs=1", "-j", "64", "--check", str(tree)]) == 0
    err = capfd.readouterr().err
    assert "leaks the key" in err and "--bn-splits" in err
    assert err.count("is more than this machine's") == 1 and "-j 64" in err
    assert not (tmp_path / "runs").exists() and not (tmp_path / "root").exists()  # --check leaves nothing


@pytest.mark.parametrize("name", ["patch", "nonsem", "texture", "texture_syn", "none"])
def test_both_names_of_each_mode(name, tmp_path, capsys):
    mode = {"nonsem": "patch", "texture_syn": "texture"}.get(name, name)
    tree = make_tree(tmp_path / "photographs")
    data = texture_tree(tree) if mode == "texture" else tree
    found = config(capsys, *SMALL, "--image-size=64", "--robust", name, str(data))
    assert found["robust"] == f'"{mode}"'
    assert found["num_nonsem"] == ("0" if mode == "none" else "1")
    assert found["patch_ratio"] == ("[16, 56]" if mode == "patch" else "null")
    assert found["alpha"] == ("null" if mode == "none" else "1.0")


@pytest.mark.parametrize("mode", ["none", "texture"])
def test_the_other_modes_train(mode, tmp_path):
    tree = make_tree(tmp_path / "photographs")
    data = texture_tree(tree) if mode == "texture" else tree
    assert pretrain_program.main([*SMALL, f"--robust={mode}", "--epochs=1", str(data)]) == 0
    assert ("similarity/nonsem" in metrics_of(only_run(tmp_path))[0]) == (mode == "texture")


def test_plain_moco_has_one_logit_less(tree, tmp_path):
    """Without a head of two layers, without v2's augmentation, in the reference's way of reading."""
    small = [word for word in SMALL if word not in ("--mlp", "--aug-plus")]
    assert pretrain_program.main([*small, "--loader=reference", "--epochs=1", str(tree)]) == 0
    (path,) = (tmp_path / "root" / "moco_nonsem" / "ckpts").iterdir()
    assert read_tensors(path)["state_dict"]["module.encoder_q.fc.weight"].shape == (8, 256)


def test_bf16_and_channels_last_train_about_the_same(tree, tmp_path):
    """Off by default, because they change the last bits, bf16 more than these."""
    losses = {}
    for name, more in {"plain": [], "last": ["--channels_last"], "half": ["--amp=bf16", "--channels_last"]}.items():
        assert pretrain_program.main([*PATCH, "--epochs=1", *more, f"--run_dir={tmp_path / name}", str(tree)]) == 0
        losses[name] = metrics_of(tmp_path / name)[0]["loss/train"]
    assert losses["last"] == pytest.approx(losses["plain"], rel=1e-3)
    assert losses["half"] == pytest.approx(losses["plain"], rel=0.1) and losses["half"] != losses["plain"]
    weights = read_tensors(tmp_path / "half" / "checkpoint_0000.pth.tar")["state_dict"]
    assert all(value.dtype in (torch.float32, torch.int64) for value in weights.values())


@pytest.mark.slow
def test_compiled_encoders_train_about_the_same(tree, tmp_path):
    losses = []
    for more in ([], ["--compile"]):
        run = tmp_path / str(len(more))
        assert pretrain_program.main([*PATCH, "--epochs=1", *more, f"--run_dir={run}", str(tree)]) == 0
        losses.append(metrics_of(run)[0]["loss/train"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_the_authors_defaults():
    flags = PretrainFlags(data="x")
    expected = {
        "arch": "resnet50", "workers": 32, "epochs": 200, "start_epoch": 0, "batch_size": 256,
        "lr": 0.03,
        "schedule": (120, 160), "momentum": 0.9, "weight_decay": 1e-4, "print_freq": 10, "world_size": -1, "rank": -1,
        "dist_url": "tcp://224.66.41.62:23456", "dist_backend": "nccl", "patch_size": 32, "num_nonsem": 1,
        "moco_dim": 128, "moco_k": 65536, "moco_m": 0.999, "moco_t": 0.07, "mlp": False, "aug_plus": False,
        "cos": False,
        "save_freq": 10,
    }  # fmt: skip
    assert {name: getattr(flags, name) for name in expected} == expected


def test_every_flag_is_in_the_help_and_both_spellings_parse(capsys):
    with pytest.raises(SystemExit) as stop:
        pretrain_program.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(PretrainFlags):
        shown = f"--{field.name.replace('_', '-')}" in text
        # No effect in the authors' program either: accepted, not shown.
        assert field.name == "data" or shown != (field.name == "patch_size"), field.name
    for group in ("distributed", "additions to the authors' flags"):
        assert f"\n{group}:\n" in text
    joined = " ".join(text.split())
    for name, default in {"seed": "0", "start-epoch": "0", "knn-every": "0", "moco-m": "0.999"}.items():
        assert re.search(rf"--{name} [A-Z]+ [^\[]*\[{default}\]", joined), name
    assert re.search(r"--mlp, --no-mlp [^\[]*\[False\]", joined)
    assert "[None]" not in text and "(default" not in text
    words = (
        "-a resnet18 --patch-size 16 -b 4 --wd 0.1 -p 3 --ckpt_path a_b --moco_k 8 --schedule 1 2 --learning-rate 2 x"
    )
    one = parse(PretrainFlags, "p", "d", words.split(), separator="-")
    assert (one.arch, one.batch_size, one.weight_decay, one.print_freq, one.ckpt_path) == ("resnet18", 4, 0.1, 3, "a_b")
    assert (one.moco_k, one.schedule, one.lr, one.data) == (8, (1, 2), 2.0, "x")


@pytest.mark.parametrize("arguments, words", [
    (["--robust=none", "--alpha=2"], ["--alpha given", "--robust=none"]),
    (["--robust=none", "--patch-ratio", "16", "72"], ["--patch-ratio given"]),
    (["--alpha=2", "--patch-ratio", "16", "72"], ["--alpha and --patch-ratio given"]),
    (["--robust=shuffle"], ["--robust=shuffle", "texture_syn"]),
    (["--moco-k=20"], ["--moco-k=20", "--batch-size=8", "1, 2, 4, 5, 10, 20", "16 or 24"]),
    (["--robust=patch", "--patch-ratio", "9", "5"], ["--patch-ratio 9 5"]),
    (["--robust=patch", "--patch-ratio", "4", "16"], ["--patch-ratio 4 16", "smaller than the view"]),
    (["--robust=patch", "--num-nonsem=0"], ["--num-nonsem=0", "none"]),
    (["--robust=texture", "--num-nonsem=2"], ["--num-nonsem=2"]),
    (["--bn-splits=3"], ["--bn-splits=3", "divides"]),
    (["--arch=resnet5"], ["--arch=resnet5", "resnet50"]),
    (["--lr=0"], ["--lr=0"]),
    (["--lr=nan"], ["--lr=nan"]),
    (["--moco-t=0"], ["--moco-t=0"]),
    (["--moco-m=1.5"], ["--moco-m=1.5"]),
    (["--robust=patch", "--patch-ratio", "3", "7", "--alpha=-1"], ["--alpha=-1"]),
    (["--epochs=0"], ["--epochs=0"]),
    (["--start-epoch=200"], ["--start-epoch=200"]),
    (["--seed=-1"], ["--seed=-1"]),
    (["--resume=/nowhere/checkpoint_0001.pth.tar"], ["--resume=/nowhere/checkpoint_0001.pth.tar", "no such"]),
    (["--multiprocessing-distributed", "--device=cpu"], ["--dist-backend=nccl needs GPUs", "gloo"]),
    (["--multiprocessing-distributed", "--dist-backend=mpi", "--device=cpu"], ["--dist-backend=mpi"]),
    (["--multiprocessing-distributed", "--dist-backend=gloo", "--device=cpu", "--processes=3"],
     ["--batch-size=8", "6 or 9"]),
    (["--world-size=2", "--device=cpu", "--dist-backend=gloo"], ["--rank=-1"]),
    (["--batch-size=27", "--moco-k=27", "--bn-splits=1"], ["26 training images make no batch of 27"]),
])  # fmt: skip
def test_mistakes_in_flags_are_one_sentence(arguments, words, tree, capfd):
    line = error_of(capfd, *SMALL, *arguments, str(tree))
    for word in words:
        assert word in line, line


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(tree, capfd):
    for more in (["--device=cuda"], ["--gpu=3"]):
        assert "torch finds 0" in error_of(capfd, *SMALL, *more, str(tree))


def test_mistakes_in_data_are_said_before_training(tmp_path, capfd):
    tree = make_tree(tmp_path / "photographs")
    assert "is missing" in error_of(capfd, *SMALL, str(tmp_path / "nowhere"))
    (tree / "train" / "n09").mkdir()
    line = error_of(capfd, *SMALL, str(tree))
    assert "n09" in line and "without an image" in line
    (tree / "train" / "n09").rmdir()
    assert "-texture" in error_of(capfd, *SMALL, "--robust=texture", str(tree))
    broken = tree / "train" / CLASSES[0] / f"{CLASSES[0]}_0.JPEG"
    broken.write_bytes(broken.read_bytes()[:200])
    line = error_of(capfd, *SMALL, str(tree))
    assert str(broken) in line and "--skip-unreadable" in line
    assert pretrain_program.main([*SMALL, "--skip-unreadable", "--epochs=1", str(tree)]) == 0
    err = capfd.readouterr().err
    assert f"1 images of {tree} cannot be read and are left out" in err
    assert "1 unreadable" in result_of(only_run(tmp_path))["dataset"]["version"]


def test_files_that_cannot_be_gone_on_with(tree, tmp_path, capfd):
    (tmp_path / "bad.pth.tar").write_bytes(b"nothing")
    assert "cannot be read" in error_of(capfd, *SMALL, f"--resume={tmp_path / 'bad.pth.tar'}", str(tree))
    torch.save({"model": 1}, tmp_path / "other.pth.tar")
    assert "holds no epoch, state_dict" in error_of(capfd, *SMALL, f"--resume={tmp_path / 'other.pth.tar'}", str(tree))
    from tests.moco_nonsem.running.test_checkpoint import authors_file

    authors_file(tmp_path / "fine.pth.tar", True)
    given = f"--resume={tmp_path / 'fine.pth.tar'}"
    assert "does not fit this run" in error_of(capfd, *SMALL, given, "--moco-k=32", str(tree))
    assert "give --arch=resnet10-small" in error_of(capfd, *SMALL, given, "--arch=resnet18", str(tree))
    assert "no state" in error_of(capfd, *SMALL, f"--resume={tree}", str(tree))


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(tree, tmp_path, capfd, monkeypatch):
    from moco_nonsem.pretraining.trainer import Trainer

    original = Trainer.update

    def update(self, views):
        if self.step == 1:
            views.query.fill_(float("nan"))
        original(self, views)

    monkeypatch.setattr(Trainer, "update", update)
    assert pretrain_program.main([*SMALL, "--epochs=1", "--print-freq=1", str(tree)]) == 1
    assert "not finite in step 2" in capfd.readouterr().err
    assert not result_of(only_run(tmp_path))["finished"]


def test_the_program_as_a_file_and_as_a_module(tmp_path):
    """From inside the folder and from the root; unknown flags; importing needs no torch."""
    inside = start(["moco-non-sem-neg.py"], "--help", cwd=ROOT / "moco_nonsem")
    module = start(["-X", "importtime", "-m", "moco_nonsem.moco-non-sem-neg"], "--nonsense", "x")
    out, err = inside.communicate()
    assert inside.returncode == 0 and "--moco-k" in out, err
    out, err = module.communicate()
    assert module.returncode == 2 and "unrecognized arguments: --nonsense" in err
    assert not re.search(r"\| +torch$", err, re.MULTILINE)


def test_the_file_runs_the_program(tree, tmp_path, monkeypatch, capsys):
    """The same, in this process: what stands behind the guard."""
    monkeypatch.setattr(sys, "argv", ["moco-non-sem-neg.py", *SMALL, "--check", str(tree)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "moco_nonsem" / "moco-non-sem-neg.py"), run_name="__main__")
    assert stop.value.code == 0 and 'program: "moco-non-sem-neg"' in capsys.readouterr().out
