"""Every flag of the three programs, with the authors' spelling and defaults; those that are ours in a group apart."""

from __future__ import annotations

from dataclasses import dataclass

from common.flags import amp_of_precision, flag, positional

DISTRIBUTED, ADDED = "distributed", "additions to the authors' flags"
DIST_URL = "tcp://224.66.41.62:23456"
PLACES = "--run_dir, --ckpt_path or RUNS_DIR"


@dataclass(frozen=True)
class Distributed:
    """The processes of a program, and the devices they compute on."""

    workers: int = flag(
        32, "image-reading processes, over all training processes on this machine", also=("-j",), identity=False
    )
    world_size: int = flag(
        -1,
        "number of machines with --multiprocessing-distributed, else of processes",
        group=DISTRIBUTED,
        identity=False,
    )
    rank: int = flag(
        -1,
        "rank of this machine with --multiprocessing-distributed, else of this process",
        group=DISTRIBUTED,
        identity=False,
    )
    dist_url: str = flag(
        DIST_URL, "rendezvous URL; the default means a free port on this machine", group=DISTRIBUTED, identity=False
    )
    dist_backend: str = flag("nccl", "backend: nccl (GPU) or gloo (CPU)", group=DISTRIBUTED, identity=False)
    gpu: int | None = flag(None, "use this GPU only", group=DISTRIBUTED, identity=False)
    multiprocessing_distributed: bool = flag(
        False, "start one process for every GPU of this machine", group=DISTRIBUTED, identity=False
    )
    processes: int | None = flag(
        None,
        "processes that --multiprocessing-distributed starts on this machine [one per GPU]",
        group=ADDED,
        identity=False,
    )
    device: str = flag(
        "auto", "auto: a GPU if there is one", choices=("auto", "cpu", "cuda"), group=ADDED, identity=False
    )


@dataclass(frozen=True)
class Common(Distributed):
    """What every program reads: seed, images, where files lie."""

    # DEVIATION: the authors' seed reaches no process that trains, so their runs are unseeded; here it reaches all.
    seed: int = flag(0, "random seed of the weights, the queue and every draw", group=ADDED)
    run_dir: str | None = flag(
        None, "run folder; an unfinished run in it is resumed [a new folder in $RUNS_DIR]", group=ADDED, identity=False
    )
    check: bool = flag(
        False, "resolve the configuration, read every image, print config.yml and stop", group=ADDED, identity=False
    )
    image_size: int = flag(224, "side of the network's input images in pixels; the papers' is 224", group=ADDED)
    skip_unreadable: bool = flag(False, "skip images that cannot be read, and count them", group=ADDED)


@dataclass(frozen=True)
class Training(Common):
    """What the programs that train read besides: how fast a step is, how often it is saved."""

    save_minutes: float = flag(10.0, "minutes between saved states, at most", group=ADDED, identity=False)
    amp: str = flag(
        "off",
        "bf16: bfloat16 where it is safe; with --precision: float32, bfloat16",
        choices=("off", "bf16"),
        group=ADDED,
        read=amp_of_precision,
        also=("--precision",),
    )
    channels_last: bool | None = flag(
        None,
        "keep images and kernels channels last [on a CPU, where it is faster; no on a GPU]",
        group=ADDED,
        identity=False,
    )
    compile: bool = flag(False, "torch.compile the encoders", group=ADDED, identity=False)


@dataclass(frozen=True)
class PretrainFlags(Training):
    """Of moco-non-sem-neg.py, as given on the command line; `pretrain_config.resolve` turns them into a run."""

    data: str = positional(
        "folder with train/; for --robust texture the texture tree, NAME-texture", also=("--data_dir",), identity=False
    )
    arch: str = flag("resnet50", "network of both encoders", also=("-a", "--network"))
    epochs: int = flag(200, "number of epochs")
    start_epoch: int = flag(0, "epoch to start from; --resume sets it")
    # DEVIATION: the authors' counts one machine, so that a second one doubles the batch; here it counts all processes.
    batch_size: int = flag(256, "global batch size, over all processes", also=("-b", "--global_batch_size"))
    lr: float = flag(0.03, "initial learning rate", also=("--learning_rate",))
    schedule: tuple[int, ...] = flag((120, 160), "epochs at which the learning rate falls to a tenth", count="*")
    momentum: float = flag(0.9, "momentum of SGD")
    weight_decay: float = flag(1e-4, "weight decay of SGD", also=("--wd",))
    print_freq: int = flag(10, "steps between progress updates", also=("-p",), identity=False)
    resume: str = flag("", "resume from this checkpoint or run folder", identity=False)
    robust: str = flag("none", "non-semantic negatives: patch (nonsem), texture (texture_syn), none")
    patch_size: int = flag(32, "no effect, as in the authors' program; see --patch-ratio", hidden=True, identity=False)
    patch_ratio: tuple[int, ...] | None = flag(
        None, "smallest and largest patch in pixels, both included [16 56]", count=2
    )
    num_nonsem: int = flag(1, "non-semantic views per image")
    save_freq: int = flag(10, "epochs between checkpoints; the last epoch always has one", identity=False)
    ckpt_path: str | None = flag(
        None, "checkpoint folder, created if missing [--run_dir if given, else moco_nonsem/ckpts]", identity=False
    )
    alpha: float | None = flag(None, "weight α of a non-semantic negative [1.0]")
    moco_dim: int = flag(128, "D, length of an embedding")
    moco_k: int = flag(65536, "K, length of the queue")
    moco_m: float = flag(0.999, "m, momentum of the key encoder")
    moco_t: float = flag(0.07, "T, temperature")
    mlp: bool = flag(False, "two-layer projection head of MoCo v2")
    aug_plus: bool = flag(False, "use the augmentation of MoCo v2")
    cos: bool = flag(False, "use a cosine learning rate instead of --schedule")
    bn_splits: int = flag(
        1,
        "parts of the global batch that batch norm normalises separately; 1: one part per process",
        group=ADDED,
        identity=False,
    )
    texture_draw: str = flag(
        "seed",
        "texture view: drawn with its query's random seed (authors), or with its query's crop, flip, colour, blur",
        choices=("seed", "aligned"),
        group=ADDED,
    )
    loader: str = flag(
        "device",
        "device: views are computed in batches on the training device; reference: per image, as the authors",
        choices=("device", "reference"),
        group=ADDED,
    )
    knn_every: int = flag(0, "epochs between k-nearest-neighbour evaluations; 0: never", group=ADDED)
    knn_per_class: int = flag(100, "images per class of train/ to search for neighbours", group=ADDED)


@dataclass(frozen=True)
class LinearFlags(Training):
    """Of main_lincls.py."""

    data: str = positional("folder with train/ and val/", also=("--data_dir",), identity=False)
    arch: str = flag("resnet50", "network", also=("-a", "--network"))
    epochs: int = flag(100, "number of epochs")
    start_epoch: int = flag(0, "epoch to start from; --resume sets it")
    batch_size: int = flag(256, "global batch size, over all processes", also=("-b", "--global_batch_size"))
    lr: float = flag(30.0, "initial learning rate", also=("--learning_rate",))
    schedule: tuple[int, ...] = flag((30, 40, 50), "epochs at which the learning rate falls to a tenth", count="*")
    momentum: float = flag(0.9, "momentum of SGD")
    weight_decay: float = flag(0.0, "weight decay of SGD", also=("--wd",))
    print_freq: int = flag(10, "steps between progress updates", also=("-p",), identity=False)
    resume: str = flag("", "resume from this checkpoint or run folder", identity=False)
    pretrained: str = flag("", "checkpoint of moco-non-sem-neg.py, ours or the authors'", identity=False)
    evaluate: bool = flag(False, "only evaluate --resume on val/", also=("-e",), identity=False)
    ckpt_path: str | None = flag(
        None, "checkpoint folder, created if missing [--run_dir if given, else moco_nonsem/ckpts]", identity=False
    )
    val: str | None = flag(
        None, "folder of the validation images, one folder per class [val/ of DATA]", group=ADDED, identity=False
    )


@dataclass(frozen=True)
class RobustnessFlags(Common):
    """Of eval_robustness.py; the authors ship no such program."""

    checkpoint: str = positional("checkpoint of main_lincls.py, ours or the authors'")
    arch: str = flag("resnet50", "network", also=("-a", "--network"))
    batch_size: int = flag(256, "global batch size, over all processes", also=("-b", "--global_batch_size"))
    val: str | None = flag(None, "validation images of ImageNet-100, one folder per class")
    imagenet_c: str | None = flag(None, "folder with CORRUPTION/SEVERITY/CLASS/ (ImageNet-C)", also=("--c",))
    sketch: str | None = flag(None, "ImageNet-Sketch, one folder per class")
    stylized: str | None = flag(None, "Stylized-ImageNet, one folder per class")
    rendition: str | None = flag(None, "ImageNet-R, one folder per class", also=("--r",))
    cue_conflict: str | None = flag(None, "folders by shape, files SHAPE_TEXTURE_N.png")
    c_resize: bool = flag(False, "resize ImageNet-C to 256 before the centre crop, as the other sets")
