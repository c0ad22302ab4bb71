"""From flags to a run: everything resolved, and everything impossible refused, before any data is read."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from common.errors import UsageError
from common.flags import identity
from common.paths import user_path
from ieg.checkpoints.pretrained import content_hash
from ieg.settings import schedules
from ieg.settings.dataset_name import DatasetName, parse_dataset_name
from ieg.settings.flags import Flags
from ieg.settings.fsr_config import check_fsr, check_partial_level

USES_PROBES = ("l2r", "ieg")
EPOCH = 500  # the --eval_freq that means an epoch in the authors' last release


@dataclass(frozen=True)
class Config:
    """A resolved run. Derived values have their own names: no flag is rewritten."""

    flags: Flags
    dataset: DatasetName
    replicas: int
    probe_size: int
    num_train: int
    steps_per_epoch: int
    last_step: int
    decay_steps: tuple[float, ...]
    first_cycle: float
    eval_every: int
    image_size: int
    pretrained: str

    def rate(self, step: int) -> float:
        """Learning rate of the update after `step` finished ones (0, 1, …)."""
        flags, base = self.flags, self.flags.learning_rate
        warm = flags.warmup_epochs * self.steps_per_epoch
        if step < warm:
            return schedules.warmup(step, base, warm)
        if flags.lr_schedule in ("cosine", "cosine_warmup"):
            return schedules.cosine_restarts(step, base, self.first_cycle, flags.cos_t_mul, flags.cos_m_mul)
        if flags.lr_schedule == "cosine_one":
            return schedules.cosine_one(step, base, self.last_step)
        if flags.lr_schedule == "exponential":
            return schedules.exponential(step, base, self.decay_steps[0])
        return schedules.custom_step(step, base, self.decay_steps, flags.decay_rate)

    @property
    def cycle_ends(self) -> list[int]:
        """Steps at which the accuracy of the run is read, the last of them being the result; the end where none is."""
        if self.flags.lr_schedule not in ("cosine", "cosine_warmup"):
            return [self.last_step]
        return schedules.cycle_ends(self.first_cycle, self.flags.cos_t_mul, self.last_step) or [self.last_step]

    def evaluates(self, step: int) -> bool:
        """Whether the test accuracy is measured after `step`: regularly, at cycle ends and at the end."""
        # DEVIATION: the authors' evaluations at cycle ends stop after a resume; here the step alone decides.
        return step % self.eval_every == 0 or step == self.last_step or step in self.cycle_ends

    def record(self) -> dict:
        """What config.yml holds: every value that decides the numbers."""
        # A run that starts from one of its earlier steps is still the same run. Once an epoch was recorded as 500.
        flags = dataclasses.replace(self.flags, restore_step=0, eval_freq=self.flags.eval_freq or EPOCH)
        derived = {
            "replicas": self.replicas,
            "probe_size": self.probe_size,
            "num_train": self.num_train,
            "steps_per_epoch": self.steps_per_epoch,
            "last_step": self.last_step,
            "eval_every": self.eval_every,
            "first_cycle": self.first_cycle,
            "image_size": self.image_size,
            "pretrained": self.pretrained,
        }
        return identity(flags) | {f"resolved_{name}": value for name, value in derived.items()}


def resolve(flags: Flags, replicas: int, num_images: int | None = None) -> Config:
    """The run that `flags` describe on `replicas` devices; `num_images` where the data and not the name tells it.

    Raises: UsageError naming the flag, the value and the rule.
    """
    # DEVIATION: the authors' program rewrites flags at run time, batch sizes among them; here derived values have
    # their own names.
    dataset = parse_dataset_name(flags.dataset)
    if num_images is not None:
        dataset = dataclasses.replace(dataset, num_train=num_images)
    check_values(flags)
    flags = split_global_batch(flags, replicas)
    if flags.method == "fsr":
        check_fsr(flags, dataset)
    probe_size = resolve_probe_size(flags, dataset)
    num_train = dataset.num_train - probe_size
    global_batch = flags.batch_size * replicas
    steps = num_train // global_batch
    if steps == 0:
        raise UsageError(
            f"a global batch of {global_batch} images, --batch_size={flags.batch_size} on {replicas} device(s), is "
            f"more than the {num_train} training images of {flags.dataset}; lower it"
        )
    decay = numbers("decay_steps", flags.decay_steps)
    if flags.max_epoch is not None:
        decay = [epochs * steps for epochs in numbers("decay_epochs", flags.decay_epochs)]
    from_epoch = flags.lr_schedule == "cosine" and flags.cos_first_cycle == "epoch"
    return Config(
        flags=flags,
        dataset=dataset,
        replicas=replicas,
        probe_size=probe_size,
        num_train=num_train,
        steps_per_epoch=steps,
        last_step=flags.max_iteration if flags.max_epoch is None else flags.max_epoch * steps,
        decay_steps=tuple(decay),
        first_cycle=float(steps) if from_epoch else decay[0],
        eval_every=steps if flags.eval_freq in (None, EPOCH) else flags.eval_freq,
        image_size=resolve_image_size(flags),
        pretrained=content_hash(user_path(flags.pretrained_ckpt)) if flags.pretrained_ckpt else "",
    )


def split_global_batch(flags: Flags, replicas: int) -> Flags:
    """Flags whose --batch_size says what --global_batch_size asked for. Raises: UsageError where it does not divide."""
    if flags.global_batch_size is None:
        return flags
    if flags.batch_size != Flags.batch_size:
        raise UsageError(
            f"--global_batch_size={flags.global_batch_size} --batch_size={flags.batch_size}: give one of them, the "
            "images of all replicas together or those of each"
        )
    if flags.global_batch_size % replicas or flags.global_batch_size < replicas:
        above = -(-flags.global_batch_size // replicas) * replicas
        raise UsageError(
            f"--global_batch_size={flags.global_batch_size} does not divide by {replicas} replicas; give a multiple of "
            f"{replicas}, such as {max(above, replicas)}"
        )
    return dataclasses.replace(flags, batch_size=flags.global_batch_size // replicas, global_batch_size=None)


def resolve_probe_size(flags: Flags, dataset: DatasetName) -> int:
    """Probe images held out of the training set, the same number of every class; 0 for a ratio of 0.

    WebVision has its own trusted images. A long-tailed set stays whole for methods that look at no probe images, as
    the published files are.
    """
    if dataset.is_webvision or (dataset.imbalance is not None and flags.method not in USES_PROBES):
        return 0
    ratio = flags.probe_dataset_hold_ratio
    wanted = math.floor(round(dataset.num_train * ratio, 6))
    size = wanted // dataset.num_classes * dataset.num_classes
    if flags.method in USES_PROBES and size == 0:
        least = dataset.num_classes / dataset.num_train
        raise UsageError(
            f"--probe_dataset_hold_ratio={ratio} holds out {wanted} of {dataset.num_train} images, fewer than the "
            f"{dataset.num_classes} classes: {flags.method} needs one a class, a ratio of {least:.6g} or more"
        )
    if dataset.counts and size // dataset.num_classes >= dataset.counts[-1]:
        raise UsageError(
            f"--probe_dataset_hold_ratio={ratio} holds out {size // dataset.num_classes} images a class, but the "
            f"smallest class of {flags.dataset} has {dataset.counts[-1]}; lower it"
        )
    if dataset.num_train - size < dataset.num_classes:
        raise UsageError(f"--probe_dataset_hold_ratio={ratio} leaves {dataset.num_train - size} images to train on")
    return size


def resolve_image_size(flags: Flags) -> int:
    """Side of the images in pixels. Raises: UsageError for a size that the data set cannot have."""
    webvision = flags.dataset.startswith("webvisionmini")
    if flags.image_size is None:
        return 224 if webvision else 32
    if not webvision and not flags.dataset.startswith("digits") and flags.image_size != 32:
        raise UsageError(
            f"--image_size={flags.image_size}: only the digits and WebVision can be scaled; CIFAR images are 32"
        )
    unit, largest = (32, 512) if webvision else (8, 64)
    if flags.image_size % unit or not unit <= flags.image_size <= largest:
        raise UsageError(f"--image_size={flags.image_size} is not a multiple of {unit} between {unit} and {largest}")
    return flags.image_size


def check_values(flags: Flags) -> None:
    """Ranges and combinations that no data is needed to refuse."""
    check_devices(flags)
    if flags.run_dir and flags.checkpoint_path:
        raise UsageError(
            f"--run_dir={flags.run_dir} --checkpoint_path={flags.checkpoint_path}: give one of them, the folder of "
            "this run or the one that holds run folders"
        )
    if flags.dataset.startswith("webvisionmini"):
        if flags.method == "ieg" and flags.aug_type == "randaug":
            raise UsageError("--aug_type=randaug is CIFAR's; WebVision has --aug_type=autoaug, or default")
        if flags.weak_aug == "none":
            raise UsageError(
                "--weak_aug=none is for CIFAR and digits; WebVision's images have to be cropped: leave it out"
            )
    elif flags.use_imagenet_as_eval:
        raise UsageError(
            f"--use_imagenet_as_eval goes with webvisionmini, whose classes are ImageNet's, not with {flags.dataset}"
        )
    check_partial_level(flags)
    at_least(flags, 1, "batch_size", "val_batch_size", "max_iteration", "log_freq", "workers")
    if flags.eval_freq is not None:
        at_least(flags, 1, "eval_freq")
    at_least(
        flags,
        0,
        "seed",
        "restore_step",
        "warmup_epochs",
        "ce_factor",
        "consistency_factor",
        "meta_stepsize",
        "num_devices",
        "weight_decay",
        "save_minutes",
    )
    for name in ("probe_dataset_hold_ratio", "momentum", "meta_momentum", "grad_eps_init", "label_smoothing"):
        if not 0 <= getattr(flags, name) <= 1:
            raise UsageError(f"--{name}={getattr(flags, name)} is not between 0 and 1")
    if flags.max_epoch is not None and flags.max_epoch < 1:
        raise UsageError(f"--max_epoch={flags.max_epoch} is not at least 1")
    if not flags.learning_rate > 0 or not flags.decay_rate > 0 or not flags.cos_m_mul > 0:
        raise UsageError("--learning_rate, --decay_rate and --cos_m_mul must be positive")
    if not flags.cos_t_mul >= 1:
        raise UsageError(f"--cos_t_mul={flags.cos_t_mul} is below 1: the cycles would shrink to nothing")
    if flags.seed >= 2**32:
        raise UsageError(f"--seed={flags.seed} is not below 2**32")
    if flags.method != "ieg" and (flags.no_meta_relabel or flags.no_mixup or flags.no_probe_mixing):
        raise UsageError(
            f"--no_meta_relabel, --no_mixup and --no_probe_mixing are switches of ieg, not of --method={flags.method}"
        )


def check_devices(flags: Flags) -> None:
    """Raises: UsageError for impossible combinations of --distribution_strategy, --num_devices and --tpu."""
    strategy = flags.distribution_strategy
    if (strategy == "tpu") != bool(flags.tpu):
        raise UsageError(
            f"--distribution_strategy={strategy} --tpu={flags.tpu}: a TPU needs --distribution_strategy=tpu and its "
            "name or address in --tpu, and nothing else does"
        )
    if strategy == "one_device" and flags.num_devices > 1:
        raise UsageError(f"--distribution_strategy=one_device is one device, not --num_devices={flags.num_devices}")


def at_least(flags: Flags, bound: float, *names: str) -> None:
    """Raises: UsageError for the first flag below `bound`."""
    for name in names:
        if not getattr(flags, name) >= bound:
            raise UsageError(f"--{name}={getattr(flags, name)} is not at least {bound}")


def numbers(name: str, text: str) -> list[float]:
    """Rising positive numbers from '160,180'."""
    try:
        values = [float(part) for part in str(text).split(",")]
    except ValueError:
        values = []
    if not values or values[0] <= 0 or sorted(set(values)) != values:
        raise UsageError(f"--{name}={text} is not a rising list of positive numbers such as 160,180")
    return values


ONLY_IEG = {"grad_eps_init", "ce_factor", "consistency_factor", "aug_type"}
IDLE = {
    "supervised": ONLY_IEG | {"meta_stepsize", "meta_momentum", "meta_partial_level"},
    "l2r": ONLY_IEG | {"meta_momentum"},
    "ieg": {"label_smoothing"},
    "fsr": ONLY_IEG,
}


DROPS = {"decay_steps", "decay_epochs"}
READ_BY = {  # schedules
    "cosine": {"cos_t_mul", "cos_m_mul", "cos_first_cycle"},
    "cosine_warmup": {"cos_t_mul", "cos_m_mul", *DROPS},
    "cosine_one": set(),
    "custom_step": {"decay_rate", *DROPS},
    "exponential": DROPS,
}


def decay_flag(network: str) -> str:
    """The flag that holds the L2 of a network, "" where it is fixed."""
    return {"resnet29": "", "resnet11": "", "resnet50": "l2_weight_decay"}.get(network, "weight_decay")


def without_effect(flags: Flags) -> dict[str, str]:
    """Flags that were given and change nothing in this run, each with the choice that makes it so."""
    fields = dataclasses.fields(Flags)
    given = sorted(field.name for field in fields if getattr(flags, field.name) != field.default)
    return {name: choice for name in given for choice, idle in _idle(flags).items() if name in idle}


def _idle(flags: Flags) -> dict[str, set[str]]:
    """What each choice leaves without effect, the method last."""
    from_steps = flags.lr_schedule == "cosine" and flags.cos_first_cycle == "decay_steps"
    read = READ_BY[flags.lr_schedule] | (DROPS if from_steps else set())
    groups = {"no effect"} if flags.method == "fsr" else {"no effect", "fsr"}
    idle = {field.name for field in dataclasses.fields(Flags) if field.metadata["group"] in groups}
    conditions = {
        "--max_epoch": (flags.max_epoch is not None, {"max_iteration", "decay_steps"}),
        "no --max_epoch": (flags.max_epoch is None, {"decay_epochs"}),
        "no --pretrained_ckpt": (not flags.pretrained_ckpt, {"pretrained_ckpt_mode"}),
        "--no_mixup": (flags.no_mixup, {"ce_factor", "no_probe_mixing"}),
        "--moving_weight_gamma=0": (not flags.moving_weight_gamma, {"meta_moving_end_epoch"}),
        f"--dataset={flags.dataset}": ("_imbal" not in flags.dataset, {"long_tail_from"}),
    }
    return {
        **{choice: names for choice, (holds, names) in conditions.items() if holds},
        f"--network_name={flags.network_name}": {"weight_decay", "l2_weight_decay"} - {decay_flag(flags.network_name)},
        f"--lr_schedule={flags.lr_schedule}": set.union(*READ_BY.values()) - read,
        f"--method={flags.method}": idle | IDLE[flags.method],
    }
