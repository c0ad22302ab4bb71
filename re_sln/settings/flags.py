"""Every flag of the training programs: name, type, default, meaning. Each program takes its part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.flags import amp_of_precision, flag, parse
from re_sln.former_names import present_name

NOISE = {"noise_mode", "p", "custom_noise", "make_new_custom_noise", "custom_rng", "asym_rules", "dependent_epochs"}
CLOTHING = {"weights", "images_per_class"}
PLACES = "--run_dir or RUNS_DIR"


@dataclass(frozen=True)
class Flags:
    """Values as given on the command line; `re_sln.settings.config.resolve` turns them into a run."""

    dataset_name: str = flag("cifar10", "data set")
    batch_size: int = flag(128, "global batch size, over all processes", also=("--global_batch_size",))
    n_epochs: int = flag(300, "epochs", also=("--epochs",))
    lr: float = flag(0.001, "learning rate; momentum is 0.9")
    sigma: float | None = flag(
        None, "σ of the label noise, 0 for CE; left out: the published one of the data set and noise mode"
    )
    mo: bool = flag(False, "keep a moving average of the model and test that")
    lc_n_epoch: int = flag(-1, "first epoch with label correction; -1: never")
    seed: int = flag(123, "random seed of the initial weights, the noise and every draw")
    network: str = flag(
        "wrn-28-2", "wrn-DEPTH-WIDENING; the papers' is wrn-28-2 (resnet50 on Clothing1M)", also=("--arch",)
    )
    ema_decay: float = flag(0.999, "decay of the moving average per step")

    noise_mode: str = flag("sym", "kind of wrong labels", ("sym", "asym", "openset", "dependent"), "noise")
    p: float = flag(0.4, "rate of wrong labels; 0: none", group="noise")
    custom_noise: bool = flag(False, "our own noise file instead of the authors'; it is made if missing", group="noise")
    make_new_custom_noise: bool = flag(False, "make the custom noise file again", group="noise", identity=False)
    custom_rng: str = flag(
        "independent",
        "rerun: custom files as the published second samples, drawn from one generator re-seeded for every class",
        ("independent", "rerun"),
        "noise",
        present_name,
    )
    asym_rules: str = flag(
        "authors",
        "class pairs of asym noise on CIFAR-10: all five (authors) or without 4→7, deer to horse (rerun)",
        ("authors", "rerun"),
        "noise",
        present_name,
    )
    dependent_epochs: int = flag(
        20, "custom dependent noise: epochs of the network whose softmax is averaged", group="noise"
    )

    data_dir: str | None = flag(
        None, "folder of the data sets [$DATA_DIR, else data/cache]", group="data", identity=False
    )
    allow_unverified: bool = flag(
        False,
        "use data whose checksums are not the official ones; the record names them so",
        group="data",
        identity=False,
    )
    image_size: int = flag(32, "side of the digits in pixels; CIFAR and Animal-10N have 32", group="data")
    augmentation: str = flag(
        "auto",
        "of training images: random crop and flip, or none; auto: none for the digits, which a flip would change",
        ("auto", "crop_flip", "none"),
        "data",
    )
    norm: str = flag(
        "rerun",
        "mean and std of the training images (rerun), or the authors' constants",
        ("rerun", "authors"),
        "data",
        present_name,
    )
    lc_eval_transform: str = flag(
        "train", "how label correction sees images: as training does, or as the test", ("train", "test"), "data"
    )
    train_accuracy: str = flag(
        "rerun",
        "which target counts as correct: without σ's noise (rerun) or with it (authors)",
        ("rerun", "authors"),
        "data",
        present_name,
    )
    limit_train_examples: int = flag(
        0, "use only this many training images, the first ones; 0: all; the record says shortened", group="data"
    )
    weights: str = flag(
        "imagenet1k_v1", "initial weights of Clothing1M's network: imagenet1k_v1, none or a file", group="data"
    )
    images_per_class: int = flag(
        18976, "drawn anew each epoch of Clothing1M, fewer where there are fewer; -1: all", group="data"
    )

    run_dir: str | None = flag(
        None,
        "folder of this run, used as given; an unfinished run there is resumed [a new one in $RUNS_DIR/re_sln]",
        group="run",
        identity=False,
    )
    resume: str = flag("", "resume this run: exp_…, below $RUNS_DIR/re_sln, or a path", group="run", identity=False)
    check: bool = flag(False, "resolve, verify the data, print config.yml and stop", group="run", identity=False)
    evaluate: bool = flag(
        False,
        "score the finished run in --run_dir again, from its weights, print that as JSON and stop",
        group="run",
        identity=False,
    )
    save_minutes: float = flag(10.0, "a checkpoint at least this often", group="run", identity=False)

    device: str = flag("auto", "auto: a GPU if there is one", ("auto", "cpu", "cuda"), "machine", identity=False)
    loader: str = flag(
        "auto",
        "device: all images lie on the device; dataloader: worker processes read them; "
        "auto: device for arrays, dataloader for image files",
        ("auto", "device", "dataloader"),
        "machine",
        identity=False,
    )
    workers: int = flag(2, "processes of --loader=dataloader", group="machine", identity=False)
    amp: str = flag(
        "off",
        "bf16: bfloat16 where it is safe; not the published arithmetic; with --precision: float32, bfloat16",
        ("off", "bf16"),
        "machine",
        amp_of_precision,
        also=("--precision",),
    )
    channels_last: bool | None = flag(
        None,
        "keep images and kernels channels last [on a CPU, where it is faster; no on a GPU]",
        group="machine",
        identity=False,
    )
    compile: bool = flag(False, "torch.compile the network", group="machine")
    cuda_graphs: bool = flag(False, "with --compile on a GPU: replay the steps as CUDA graphs", group="machine")
    capture_steps: bool = flag(
        False,
        "on a GPU: capture whole steps and tests once and replay them; images on the device, one process",
        group="machine",
        identity=False,
    )
    sync_bn: bool = flag(False, "several processes: batch norm over all of them", group="machine")
    deterministic: bool = flag(False, "on a GPU: same seed, same bits", group="machine", identity=False)


@dataclass(frozen=True)
class Program:
    """What sets one training program apart: its data sets, its published defaults, the flags it does not have."""

    name: str
    description: str
    datasets: tuple[str, ...]
    defaults: Mapping[str, Any]
    without: frozenset[str]


PROGRAMS = {
    "train_cifar": Program(
        "train_cifar",
        "Trains CE, SLN, SLN-MO and SLN-MO-LC on CIFAR-10, CIFAR-100 or the embedded digits with noisy labels.",
        ("cifar10", "cifar100", "digits"),
        {},
        frozenset(CLOTHING),
    ),
    "train_real": Program(
        "train_real",
        "Trains CE, SLN, SLN-MO and SLN-MO-LC on Animal-10N, whose labels are wrong by nature.",
        ("animal-10n",),
        {"dataset_name": "animal-10n"},
        frozenset(NOISE | CLOTHING | {"image_size"}),
    ),
    "train_clothing1m": Program(
        "train_clothing1m",
        "Trains CE, SLN, SLN-MO and SLN-MO-LC on Clothing1M, whose labels are wrong by nature.",
        ("clothing1m",),
        {
            "dataset_name": "clothing1m",
            "batch_size": 32,
            "n_epochs": 10,
            "network": "resnet50",
            "norm": "authors",
        },
        frozenset(NOISE | {"image_size"}),
    ),
}


def parse_flags(program: Program, argv: list[str], defaults: Mapping[str, Any] | None = None) -> Flags:
    """Flags of a command line; exits with 2 and one sentence on anything unknown or unreadable."""
    values = {**program.defaults, **(defaults or {})}
    return parse(Flags, f"{program.name}.py", program.description, argv, values, program.without)
