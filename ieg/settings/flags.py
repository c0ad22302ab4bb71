"""Every flag of `ieg.main`: name, type, default, meaning. One frozen dataclass, from which the parser is made."""

from __future__ import annotations

from dataclasses import dataclass

from common.flags import flag, parse


@dataclass(frozen=True)
class Flags:
    """Values as given on the command line; `ieg.settings.config.resolve` turns them into a run."""

    dataset: str = flag(
        "cifar100_uniform_0.8",
        "cifar10|cifar100|digits, alone or with _uniform_R, _asymmetric_R, _imbal_F or _imbal_F_R; webvisionmini[_N]",
    )
    method: str = flag("ieg", "what is trained", ("supervised", "l2r", "ieg", "fsr"))
    network_name: str = flag(
        "wrn28-10",
        "resnet11 and wrn10-1 are small ones, not in the papers",
        ("wrn28-10", "resnet29", "resnet11", "wrn10-1", "resnet32", "resnet18", "resnet50"),
        also=("--network", "--arch"),
    )
    mode: str = flag(
        "train",
        "train (resumes), or evaluation of the newest checkpoint",
        ("train", "evaluation"),
        shorthands={"--evaluate": "evaluation"},
        identity=False,
    )
    seed: int = flag(12345, "random seed of the split, the noise, the initial weights and every draw")
    checkpoint_path: str | None = flag(
        None, "folder that holds run folders [$RUNS_DIR/ieg, else runs/ieg]", identity=False
    )
    run_dir: str | None = flag(
        None,
        "folder of this run, used as given; an unfinished run there is resumed [see --checkpoint_path]",
        identity=False,
    )
    dataset_dir: str | None = flag(
        None, "folder of the data sets [$DATA_DIR, else data/cache]", also=("--data_dir",), identity=False
    )
    use_imagenet_as_eval: bool = flag(False, "WebVision: evaluate on ImageNet's validation images of its classes too")
    ds_include_metadata: bool = flag(False, "no effect: examples always carry an id", hidden=True)
    # The content of these weights is part of the identity, wherever they are.
    pretrained_ckpt: str = flag(
        "", "start from these weights: a run folder, one of its checkpoints, or TensorFlow's", identity=False
    )
    pretrained_ckpt_mode: str = flag(
        "imagenet", "imagenet: skip the classifier; all: load every weight", ("imagenet", "all")
    )
    allow_unverified: bool = flag(
        False, "use data whose checksums are not the official ones; the record names them so", identity=False
    )
    image_size: int | None = flag(None, "side of the images in pixels [CIFAR and digits 32, WebVision 224]")
    long_tail_from: str = flag(
        "auto",
        "images of _imbal_F: the class-balanced-loss TFRecords in <dataset_dir>/imbalance, or the first of each class "
        "of CIFAR; auto = the former where they are",
        ("auto", "tfrecords", "cifar"),
    )
    weak_aug: str = flag(
        "crop_flip",
        "augmentation of training and probe images: random crop and flip, or none (CIFAR and digits)",
        ("crop_flip", "none"),
        later=True,
    )
    check: bool = flag(False, "resolve the configuration, verify the data, print config.yml and stop", identity=False)

    max_iteration: int = flag(200000, "last step")
    max_epoch: int | None = flag(
        None, "if given: sets max_iteration, and decay_steps from decay_epochs", also=("--epochs",)
    )
    batch_size: int = flag(100, "images per replica (global batch = this x replicas)")
    global_batch_size: int | None = flag(
        None, "images of all replicas together, instead of --batch_size", identity=False
    )
    val_batch_size: int = flag(100, "images per replica in evaluation", identity=False)
    eval_freq: int | None = flag(
        None, "steps between evaluations; 500 means an epoch, as in the authors' program [an epoch]"
    )
    restore_step: int = flag(0, "start from the checkpoint of this step instead of the newest one (0)")
    use_ema: bool = flag(True, "keep an exponential moving average of the weights and report its accuracy")
    label_smoothing: float = flag(
        0.0, "label smoothing; fsr: on probe targets, and on training targets only without MixUp (no effect on ieg)"
    )

    learning_rate: float = flag(0.1, "initial rate", group="optimisation", also=("--lr",))
    momentum: float = flag(0.9, "of the optimiser", group="optimisation")
    lr_schedule: str = flag(
        "cosine",
        "cosine = with restarts",
        ("cosine", "custom_step", "cosine_warmup", "exponential", "cosine_one"),
        "optimisation",
    )
    decay_steps: str = flag(
        "500", "steps, comma-separated, of custom_step, exponential and cosine_warmup", group="optimisation"
    )
    decay_epochs: str = flag("1", "the same in epochs, read with --max_epoch", group="optimisation")
    decay_rate: float = flag(0.1, "factor of custom_step", group="optimisation")
    warmup_epochs: float = flag(0.0, "epochs of linear warm-up", group="optimisation")
    cos_t_mul: float = flag(1.5, "each cosine cycle is this much longer than the last", group="optimisation")
    cos_m_mul: float = flag(0.9, "each cosine cycle peaks this much lower", group="optimisation")
    cos_first_cycle: str = flag(
        "epoch",
        "length of the first cosine cycle: an epoch (later releases of the authors) or decay_steps (their first)",
        ("epoch", "decay_steps"),
        "optimisation",
    )
    weight_decay: float = flag(5e-4, "L2 of wrn28-10, wrn10-1, resnet32, resnet18", group="optimisation")
    l2_weight_decay: float = flag(4e-4, "L2 of resnet50", group="optimisation")

    probe_dataset_hold_ratio: float = flag(
        0.02, "share of the training set held out as clean probe images", group="meta"
    )
    meta_stepsize: float = flag(0.1, "step size of the look-ahead", group="meta")
    meta_momentum: float = flag(0.9, "momentum in the look-ahead of ieg and fsr; 0 switches it off", group="meta")
    meta_partial_level: int | None = flag(
        None,
        "layers in the look-ahead: -1 all, 0 classifier, resnet29 also 1 last stage on, 2 last two stages on "
        "[fsr 0, l2r and ieg -1]",
        group="meta",
    )
    grad_eps_init: float = flag(0.9, "share of the given label in the look-ahead, λ₀", group="meta")
    ce_factor: float = flag(5.0, "p: weight of the MixUp loss on training images", group="meta")
    consistency_factor: float = flag(20.0, "k: weight of the consistency loss; 0 removes it", group="meta")
    aug_type: str = flag("autoaug", "strong augmentation of ieg", ("autoaug", "randaug", "default"), "meta")
    no_meta_relabel: bool = flag(False, "ablation: λ stays λ₀", group="meta")
    no_mixup: bool = flag(False, "ablation: no MixUp losses", group="meta")
    no_probe_mixing: bool = flag(False, "ablation: MixUp without the probe images", group="meta")

    queue_capacity: int = flag(2000, "examples the queue holds, as many of every class", group="fsr")
    queue_bs: int = flag(200, "examples of the queue in the probe batch of a step", group="fsr")
    queue_metric: str = flag("margin", "score that orders the queue", ("margin",), "fsr", hidden=True)
    queue_beta: float = flag(
        0.9, "share of the past in an example's score; 1 or more: margins times it add up", group="fsr"
    )
    meta_start_epoch: int = flag(20, "first epoch, counted from 0, with weights and pseudo labels", group="fsr")
    use_mixup: bool = flag(True, "MixUp of the batch with itself; for ieg see --no_mixup", group="fsr")
    use_pseudo_loss: str = flag(
        "all_1_0.1_2", "pseudo labels, TYPE_TEMPERATURE_GAMMA_WEIGHT, type all or partial; empty = none", group="fsr"
    )
    clip_meta_weight: bool = flag(
        False, "weights are max(0, -g); without it no example is left out (long tail)", group="fsr"
    )
    moving_weight_gamma: float = flag(
        0.0, "use the class's moving-average weight with this decay; 0 turns it off", group="fsr"
    )
    meta_moving_end_epoch: int = flag(0, "epoch from which these averages are frozen; 0 = never", group="fsr")
    reuse_features: bool = flag(
        False,
        "take the margin from the features of the training pass: faster, not the authors' arithmetic",
        group="fsr",
    )

    precision: str = flag(
        "float32", "of the activations; weights and losses stay float32", ("float32", "bfloat16"), "machine"
    )
    jit_compile: bool = flag(False, "compile the step with XLA: for GPUs, slower on a CPU", group="machine")
    deterministic: bool = flag(False, "same seed, same bits", group="machine")
    num_devices: int = flag(
        0, "replicas: 0 = every GPU, or one CPU; n > 1 on a CPU makes n logical devices", group="machine"
    )
    distribution_strategy: str = flag(
        "mirrored",
        "how replicas work together: on this machine, on those of TF_CONFIG (multi_worker), one, or a TPU's (untried)",
        ("mirrored", "multi_worker", "one_device", "tpu"),
        "machine",
    )
    tpu: str = flag("", "name or address of the TPU, for --distribution_strategy=tpu", group="machine")
    workers: int = flag(
        1, "augmentation threads; a core makes ten thousand strong copies a second", group="machine", identity=False
    )
    save_minutes: float = flag(
        10.0, "a checkpoint at least this often, besides those at evaluations", group="machine", identity=False
    )
    log_freq: int = flag(50, "steps between TensorBoard points", group="machine", identity=False)

    dropout_rate: float = flag(0.0, "no effect, as in the authors' program", group="no effect", hidden=True)
    fix_network_features: bool = flag(False, "no effect, as in the authors' program", group="no effect", hidden=True)
    post_batch_mode_autoaug: bool = flag(False, "no effect, as in the authors' program", group="no effect", hidden=True)
    summary_eval_to_train: bool = flag(
        False, "no effect: curves of training and evaluation are in one place", group="no effect", hidden=True
    )
    verbose_finer_log: bool = flag(
        False, "no effect: everything is always logged", group="no effect", hidden=True, identity=False
    )
    exp_path_pattern: str = flag("", "no effect: see --checkpoint_path", group="no effect", hidden=True, identity=False)
    xm_exp_id: str = flag("", "no effect: see --checkpoint_path", group="no effect", hidden=True, identity=False)


def parse_flags(argv: list[str]) -> Flags:
    """Flags of a command line; exits with 2 and one sentence on anything unknown or unreadable."""
    return parse(
        Flags,
        "python -m ieg.main",
        "Trains and evaluates supervised, l2r, ieg and fsr on noisy labels: CIFAR, WebVision mini, digits.",
        argv,
    )
