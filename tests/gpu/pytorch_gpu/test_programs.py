"""Every program end to end on a device, in each arithmetic; what it learns is what a CPU learns."""

import time

import pytest

from moco_nonsem import eval_robustness, main_lincls
from moco_nonsem.pretraining import program as pretrain
from re_sln import train_cifar
from tests.moco_nonsem.small_runs import LINEAR, PATCH
from tests.programs import metrics_of, result_of
from tests.re_sln.small_runs import DIGITS, MODELS

# So slow that rounding is not enlarged; corrected labels, which jump, in the last two epochs only.
SLN = [*DIGITS, *MODELS["sln-mo-lc"], "--lc_n_epoch=3", "--n_epochs=4", "--lr=0.01"]
MOCO = [*PATCH, "--epochs=2"]
EXACT, ROUNDED = 0.02, 0.15  # relative differences of losses: other kernels in float32, and bfloat16
VARIANTS = {
    "plain": ([], EXACT),
    "channels last": (["--channels_last"], EXACT),
    "captured": (["--capture_steps"], EXACT),
    "bf16": (["--amp=bf16", "--channels_last"], ROUNDED),
    "bf16, captured": (["--amp=bf16", "--channels_last", "--capture_steps"], ROUNDED),
    "compiled": (["--compile"], EXACT),
    "compiled, captured": (["--compile", "--capture_steps"], EXACT),
    "compiled, CUDA graphs": (["--compile", "--cuda_graphs"], EXACT),
}


def on_devices(names, on_cpu):
    """(device, name of a variant): all of them on a GPU, some on a CPU."""
    both = [("cpu", on_cpu, pytest.mark.slow), ("cuda", names, pytest.mark.gpu)]
    return [pytest.param(device, name, marks=mark) for device, chosen, mark in both for name in chosen]


@pytest.fixture(scope="module")
def sln_on_a_cpu(tmp_path_factory):
    """The metrics of the run that the others are compared with."""
    folder = tmp_path_factory.mktemp("sln") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(folder.parent))
        assert train_cifar.main([*SLN, "--device=cpu", f"--run_dir={folder}"]) == 0
    return metrics_of(folder)


@pytest.fixture(scope="module")
def moco_on_a_cpu(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("moco") / "run"
    assert pretrain.main([*MOCO, "--device=cpu", f"--run_dir={folder}", str(tree)]) == 0
    return metrics_of(folder)


def of_device(folder, device):
    """The record names the device that was asked for."""
    named = result_of(folder)["device"]
    assert named.startswith("CPU") == (device == "cpu"), named


@pytest.mark.parametrize("device, variant", on_devices(VARIANTS, ["plain", "captured"]))
def test_train_cifar(device, variant, sln_on_a_cpu, tmp_path, measured):
    flags, tolerance = VARIANTS[variant]
    begun = time.perf_counter()
    assert train_cifar.main([*SLN, *flags, f"--device={device}", f"--run_dir={tmp_path / 'run'}"]) == 0
    measured(f"re_sln.train_cifar on digits, {variant}", device, whole_seconds=time.perf_counter() - begun)
    of_device(tmp_path / "run", device)
    for ours, theirs in zip(metrics_of(tmp_path / "run"), sln_on_a_cpu, strict=True):
        assert ours["loss/train_all"] == pytest.approx(theirs["loss/train_all"], rel=tolerance)


MOCO_VARIANTS = {
    "plain": ([], EXACT),
    "bf16": (["--amp=bf16", "--channels-last"], ROUNDED),
    "compiled": (["--compile"], EXACT),
    "torchvision's views": (["--loader=reference"], None),  # on another path: other views, in the last bits
}


@pytest.mark.parametrize("device, variant", on_devices(MOCO_VARIANTS, ["plain"]))
def test_pretraining_then_linear_classifier_then_robustness(device, variant, tree, moco_on_a_cpu, tmp_path, measured):
    flags, tolerance = MOCO_VARIANTS[variant]
    places = {name: tmp_path / name for name in ("pretraining", "linear", "robustness")}
    on, begun = f"--device={device}", time.perf_counter()
    assert pretrain.main([*MOCO, *flags, on, f"--run_dir={places['pretraining']}", str(tree)]) == 0
    weights = places["pretraining"] / "checkpoint_0001.pth.tar"
    arithmetic = [word for word in flags if word.startswith(("--amp", "--channels", "--compile"))]
    linear = [*LINEAR, *arithmetic, "--epochs=1", f"--pretrained={weights}", on, f"--run_dir={places['linear']}"]
    assert main_lincls.main([*linear, str(tree)]) == 0
    sizes = ["--arch=resnet10-small", "--image-size=16", "--batch-size=4", "--workers=0"]
    classifier = places["linear"] / "checkpoint_robust_0001.pth.tar"
    score = [str(classifier), *sizes, f"--val={tree / 'val'}", on, f"--run_dir={places['robustness']}"]
    assert eval_robustness.main(score) == 0
    measured(f"moco_nonsem, three programs, {variant}", device, whole_seconds=time.perf_counter() - begun)
    for place in places.values():
        of_device(place, device)
    if tolerance:
        for ours, theirs in zip(metrics_of(places["pretraining"]), moco_on_a_cpu, strict=True):
            assert ours["loss/train"] == pytest.approx(theirs["loss/train"], rel=tolerance)
