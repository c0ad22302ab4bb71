"""Every program of re_sln and moco_nonsem on a GPU that is not there: what a CPU computes, tensors kept apart."""

import argparse

import pytest
import torch

from benchmarks import moco, moco_kernels, sln
from moco_nonsem import eval_robustness, main_lincls
from moco_nonsem.pretraining import program as pretrain
from moco_nonsem.pretraining.trainer import Trainer as MocoTrainer
from re_sln import plot, train_cifar
from re_sln.training import replay
from re_sln.training.trainer import Trainer as SlnTrainer
from tests.gpu.stand_in import CPU, GPU, stand_in_gpu
from tests.moco_nonsem.small_runs import LINEAR, PATCH
from tests.programs import metrics_of, result_of, stop_in_step
from tests.re_sln.small_runs import DIGITS, MODELS
from tests.re_sln.training.stand_in_recorder import StandInRecorder

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument is set")  # torch knows of no GPU
SLN = [*DIGITS, *MODELS["sln-mo-lc"], "--lc_n_epoch=3", "--n_epochs=4", "--lr=0.01"]
HERE = ["--device=cpu", "--channels_last=false"]  # the layout that a GPU's is by default


@pytest.fixture
def gpu(monkeypatch):
    """Makes one for what is done within, whose graphs do the work again."""
    monkeypatch.setattr(replay, "CudaGraph", lambda _: StandInRecorder())
    return stand_in_gpu


def test_tensors_of_two_devices_are_kept_apart(gpu):
    with gpu():
        here, there = torch.arange(3.0), torch.arange(3.0, device="cuda")
        assert (here.device, there.device, there.is_cuda) == (CPU, GPU, True)
        moved = here.to(GPU)
        places = [moved, there[1:], there + 1, torch.zeros_like(there), there.new_tensor([1]), there.sum() * 2]
        assert all(value.device == GPU for value in places)
        assert [value.device for value in (here, there.cpu(), there.to("cpu"), here.clone())] == [CPU] * 4
        assert there.tolist() == moved.cpu().numpy().tolist() == [0.0, 1.0, 2.0]
        here.copy_(there), there.add_(torch.tensor(1.0)), there[torch.tensor([0])]
        for mixed in (lambda: here + there, lambda: torch.stack([here, there]), lambda: here[there.long()]):
            with pytest.raises(RuntimeError, match="tensors of the GPU with one of the CPU"):
                mixed()
        with pytest.raises(TypeError, match="numpy"):
            there.numpy()
        with pytest.raises(AssertionError, match="without a number"):
            torch.cuda.set_device(torch.device("cuda"))
    assert not torch.cuda.is_available()


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["--channels_last"],
        ["--capture_steps"],
        ["--amp=bf16", "--capture_steps"],
        ["--loader=dataloader", "--workers=1"],
        ["--noise_mode=dependent", "--lc_eval_transform=train"],
    ],
    ids=" ".join,
)
def test_train_cifar_then_plot(flags, gpu, tmp_path):
    same = [*HERE[:1], *flags] if "--channels_last" in flags else [*HERE, *flags]
    assert train_cifar.main([*SLN, *same, f"--run_dir={tmp_path / 'cpu'}"]) == 0
    with gpu():
        assert train_cifar.main([*SLN, *flags, "--device=cuda", f"--run_dir={tmp_path / 'gpu'}"]) == 0
        for kind in ("pred_probs", "tsne"):
            words = [f"--exp_id={tmp_path / 'gpu'}", f"--plot_type={kind}", f"--out={tmp_path / kind}.png"]
            assert plot.main(words) == 0
    assert metrics_of(tmp_path / "gpu") == metrics_of(tmp_path / "cpu")
    assert result_of(tmp_path / "gpu")["device"] == "stand-in GPU"


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [[], ["--amp=bf16", "--channels-last", "--knn-every=1"], ["--loader=reference"]],
    ids=" ".join,
)
def test_pretraining_then_linear_classifier_then_robustness(flags, gpu, tree, tmp_path):
    def three(on, more, folder):
        places = {name: folder / name for name in ("pretraining", "linear", "robustness")}
        assert (
            pretrain.main([*PATCH, "--epochs=2", *flags, *more, on, f"--run_dir={places['pretraining']}", str(tree)])
            == 0
        )
        weights = places["pretraining"] / "checkpoint_0001.pth.tar"
        linear = [*LINEAR, "--epochs=1", f"--pretrained={weights}", on, f"--run_dir={places['linear']}", str(tree)]
        assert main_lincls.main([*linear, *more]) == 0
        sizes = ["--arch=resnet10-small", "--image-size=16", "--batch-size=4", "--workers=0"]
        classifier = places["linear"] / "checkpoint_robust_0001.pth.tar"
        score = [str(classifier), *sizes, f"--val={tree / 'val'}", on, f"--run_dir={places['robustness']}"]
        assert eval_robustness.main(score) == 0
        return {name: result_of(place) for name, place in places.items()}

    expected = three("--device=cpu", [] if "--channels-last" in flags else ["--no-channels-last"], tmp_path / "cpu")
    with gpu():
        found = three("--device=cuda", [], tmp_path / "gpu")
    for name, result in found.items():
        assert result["device"] == "stand-in GPU"
        assert result["metrics"] == pytest.approx(expected[name]["metrics"], rel=1e-4), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "program, words, trainer, step",
    [
        (train_cifar.main, [*SLN, "--lc_n_epoch=2", "--channels_last=false"], SlnTrainer, 7),
        (pretrain.main, [*PATCH, "--epochs=3", "--no-channels-last"], MocoTrainer, 5),
    ],
    ids=["sln", "moco"],
)
def test_a_run_moves_between_devices(program, words, trainer, step, gpu, tree, monkeypatch, tmp_path):
    """Stopped here, resumed there, stopped there, resumed here."""
    words = [*words, str(tree)] if trainer is MocoTrainer else words
    run, whole = [*words, f"--run_dir={tmp_path / 'run'}"], [*words, f"--run_dir={tmp_path / 'whole'}"]
    assert program([*whole, "--device=cpu"]) == 0
    stop_in_step(monkeypatch, trainer, step)
    assert program([*run, "--device=cpu"]) == 130
    stop_in_step(monkeypatch, trainer, step + 3)
    with gpu():
        assert program([*run, "--device=cuda"]) == 130
    assert program([*run, "--device=cpu"]) == 0
    for ours, theirs in zip(metrics_of(tmp_path / "run"), metrics_of(tmp_path / "whole"), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("variant", ["float32", "bf16, channels last, captured"])
def test_measured_steps_of_sln(variant, gpu):
    with gpu():
        steps = sln.endless(sln.make_trainer(sln.VARIANTS[variant], "wrn-10-1", 64, "cuda"))
        for _ in range(6):
            next(steps)


def test_measured_parts_of_a_moco_step(gpu):
    sizes = argparse.Namespace(arch="resnet10-small", size=16, batch_size=4)
    with gpu(), moco.photographs(None) as paths:
        parts = moco_kernels.Parts(sizes, GPU, paths[:4])
        for name in moco_kernels.NAMES:
            getattr(parts, name)()
        assert all(view.device == GPU for view in (parts.made.query, parts.made.key, *parts.made.nonsem))
