"""Every flag of the three programs, with the authors' spelling and defaults; those that are ours in a group apart."""

from __future__ import annotations

from dataclasses import dataclass

from moco_nonsem.flag_parser import option, positional

ROBUST = {"none": "none", "patch": "patch", "nonsem": "patch", "texture": "texture", "texture_syn": "texture"}
DIST_URL = "tcp://224.66.41.62:23456"


@dataclass(frozen=True)
class Machine:
    """What decides where and how fast a run computes, and where its files lie."""

    workers: int = option(32, "processes that read images, of all processes on this machine together", "-j")
    world_size: int = option(-1, "machines, with --multiprocessing-distributed; otherwise processes", group="several")
    rank: int = option(-1, "of this machine, or of this process", group="several")
    dist_url: str = option(
        DIST_URL,
        "where the processes meet; the default is the authors', and stands for a free port of this machine",
        group="several",
    )
    dist_backend: str = option("nccl", "how they talk: nccl, or gloo on a CPU", group="several")
    gpu: int | None = option(None, "use this GPU only", group="several")
    multiprocessing_distributed: bool = option(
        False, "start one process for every GPU of this machine", group="several"
    )
    processes: int | None = option(
        None, "started on this machine by --multiprocessing-distributed; left out: one for every GPU", group="ours"
    )
    device: str = option("auto", "auto: a GPU if there is one", choices=("auto", "cpu", "cuda"), group="ours")
    # DEVIATION: the authors' reaches no process that trains: their runs are unseeded.
    seed: int = option(0, "of the weights, the queue and every draw in every process", group="ours")
    run_dir: str | None = option(
        None, "the run's record and its states; an unfinished run there goes on [a new one in $RUNS_DIR]", group="ours"
    )
    check: bool = option(False, "resolve everything, look at the data, print config.yml and stop", group="ours")
    save_minutes: float = option(10.0, "a state to go on from at least this often", group="ours")
    image_size: int = option(224, "side of the images that a network sees; the papers' is 224", group="ours")
    amp: str = option("off", "bf16: bfloat16 where it is safe", choices=("off", "bf16"), group="ours")
    channels_last: bool | None = option(
        None, "keep images and kernels channels last [on a CPU, where it is faster; no on a GPU]", group="ours"
    )
    compile: bool = option(False, "torch.compile the encoders", group="ours")
    skip_unreadable: bool = option(False, "leave out images that cannot be read, and count them", group="ours")


@dataclass(frozen=True)
class PretrainFlags(Machine):
    """Of moco-non-sem-neg.py, as given on the command line; `pretrain_config.resolve` turns them into a run."""

    data: str = positional("folder with train/; for --robust texture the texture tree, NAME-texture")
    arch: str = option("resnet50", "network of both encoders", "-a")
    epochs: int = option(200, "epochs")
    start_epoch: int = option(0, "first epoch, 0 the very first; --resume brings its own")
    # DEVIATION: of all processes; the authors' is of one machine, so that a second one doubles the batch.
    batch_size: int = option(256, "images a step, over all processes", "-b")
    lr: float = option(0.03, "initial learning rate", "--learning-rate")
    schedule: tuple[int, ...] = option((120, 160), "epochs at which the rate falls to a tenth", count="*")
    momentum: float = option(0.9, "of SGD")
    weight_decay: float = option(1e-4, "of SGD", "--wd")
    print_freq: int = option(10, "steps between looks at the loss", "-p")
    resume: str = option("", "go on with this checkpoint, or with this run folder")
    robust: str = option("none", "non-semantic negatives: patch (nonsem), texture (texture_syn), none")
    patch_size: int = option(32, "no effect, as in the authors' program; see --patch-ratio", hidden=True)
    patch_ratio: tuple[int, ...] | None = option(
        None, "smallest and largest patch in pixels, both included [16 56]", count=2
    )
    num_nonsem: int = option(1, "non-semantic views an image")
    save_freq: int = option(10, "epochs between checkpoints; the last epoch always has one")
    ckpt_path: str | None = option(
        None, "folder of the checkpoints, made if need be [--run_dir if given, else moco_nonsem/ckpts]", "--ckpt_path"
    )
    alpha: float | None = option(None, "weight α of a non-semantic negative [1.0]")
    moco_dim: int = option(128, "D, length of an embedding")
    moco_k: int = option(65536, "K, length of the queue")
    moco_m: float = option(0.999, "m, momentum of the key encoder")
    moco_t: float = option(0.07, "T, temperature")
    mlp: bool = option(False, "head of two layers, as MoCo v2")
    aug_plus: bool = option(False, "augmentation of MoCo v2")
    cos: bool = option(False, "cosine learning rate instead of --schedule")
    bn_splits: int = option(
        1, "parts of the whole batch that batch norm normalises apart; 1: each process's part", group="ours"
    )
    texture_draw: str = option(
        "seed",
        "texture view: drawn with its query's random seed (authors), or with its query's crop, flip, colour, blur",
        choices=("seed", "aligned"),
        group="ours",
    )
    loader: str = option(
        "device",
        "device: views are computed in batches on the training device; reference: per image, as the authors",
        choices=("device", "reference"),
        group="ours",
    )
    knn_every: int = option(0, "epochs between k-nearest-neighbour scores of train/ and val/; 0: never", group="ours")
    knn_per_class: int = option(100, "images a class of train/ that neighbours are looked for among", group="ours")


@dataclass(frozen=True)
class LinearFlags(Machine):
    """Of main_lincls.py."""

    data: str = positional("folder with train/ and val/")
    arch: str = option("resnet50", "network", "-a")
    epochs: int = option(100, "epochs")
    start_epoch: int = option(0, "first epoch, 0 the very first; --resume brings its own")
    batch_size: int = option(256, "images a step, over all processes", "-b")
    lr: float = option(30.0, "initial learning rate", "--learning-rate")
    schedule: tuple[int, ...] = option((30, 40, 50), "epochs at which the rate falls to a tenth", count="*")
    momentum: float = option(0.9, "of SGD")
    weight_decay: float = option(0.0, "of SGD", "--wd")
    print_freq: int = option(10, "steps between looks at the loss", "-p")
    resume: str = option("", "go on with this checkpoint, or with this run folder")
    pretrained: str = option("", "checkpoint of moco-non-sem-neg.py, ours or the authors'")
    evaluate: bool = option(False, "only score --resume on val/", "-e")
    ckpt_path: str | None = option(
        None, "folder of the checkpoints, made if need be [--run_dir if given, else moco_nonsem/ckpts]", "--ckpt_path"
    )
    val: str | None = option(None, "folder of the validation images, a folder a class [val/ of DATA]", group="ours")


@dataclass(frozen=True)
class RobustnessFlags(Machine):
    """Of eval_robustness.py; the authors ship no such program."""

    checkpoint: str = positional("checkpoint of main_lincls.py, ours or the authors'")
    arch: str = option("resnet50", "network", "-a")
    batch_size: int = option(256, "images a step", "-b")
    val: str | None = option(None, "validation images of ImageNet-100, a folder a class")
    imagenet_c: str | None = option(None, "folder with CORRUPTION/SEVERITY/CLASS/ (ImageNet-C)", "--c")
    sketch: str | None = option(None, "ImageNet-Sketch, a folder a class")
    stylized: str | None = option(None, "Stylized-ImageNet, a folder a class")
    rendition: str | None = option(None, "ImageNet-R, a folder a class", "--r")
    cue_conflict: str | None = option(None, "folders by shape, files SHAPE_TEXTURE_N.png")
    c_resize: bool = option(False, "resize ImageNet-C to 256 before the centre crop, as the others")
