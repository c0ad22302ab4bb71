"""From flags to a run: everything resolved, and everything impossible refused, before any data is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.errors import UsageError
from common.flags import identity
from re_sln.former_names import to_recorded
from re_sln.images.normalisation import check_normalisation
from re_sln.noise.noise_request import NoiseRequest, check_request, check_seed
from re_sln.settings.flags import Flags, Program
from re_sln.settings.names import check_network, model_name
from re_sln.settings.published_settings import TASKS, Task

LARGEST_IMAGE = 256


@dataclass(frozen=True)
class Config:
    """A resolved run. Derived values have their own names: no flag is rewritten."""

    program: Program
    flags: Flags
    task: Task
    model: str
    sigma: float
    augments: bool
    image_size: int
    world_size: int

    @property
    def noise(self) -> NoiseRequest | None:
        """Which wrong labels to give out; None where the labels are left as they are."""
        flags = self.flags
        if "noise_mode" in self.program.without or flags.p == 0:
            return None
        return NoiseRequest(
            dataset_name=flags.dataset_name,
            mode=flags.noise_mode,
            p=flags.p,
            # The authors publish files for CIFAR only.
            custom=flags.custom_noise or flags.dataset_name == "digits",
            make_new=flags.make_new_custom_noise,
            seed=flags.seed,
            custom_rng=flags.custom_rng,
            asym_rules=flags.asym_rules,
            data_dir=Path(flags.data_dir) if flags.data_dir else None,
            allow_unverified=flags.allow_unverified,
            made_with=noise_marks(flags),
        )

    @property
    def mo(self) -> bool:
        """Whether the moving average is kept and is what is tested."""
        return self.model in ("sln-mo", "sln-mo-lc")

    def corrects(self, epoch: int) -> bool:
        """Whether labels are corrected in `epoch` (1, 2, …)."""
        return self.model == "sln-mo-lc" and epoch >= self.flags.lc_n_epoch

    def sigma_of(self, epoch: int) -> float:
        """σ in `epoch`: none once labels are corrected."""
        return 0.0 if self.corrects(epoch) else self.sigma

    def rate(self, epoch: int) -> float:
        """Learning rate of `epoch`."""
        drop = self.task.drop_epoch
        return self.flags.lr * (0.1 if drop is not None and epoch >= drop else 1.0)

    def record(self) -> dict:
        """What config.yml holds: every value that decides the numbers."""
        kept = {name: value for name, value in identity(self.flags).items() if name not in self.program.without}
        noise = self.noise
        return to_recorded(kept) | {
            "program": self.program.name,
            "model": self.model,
            "sigma": self.sigma,
            "augmentation": "crop_flip" if self.augments else "none",
            "momentum": self.task.momentum,
            "weight_decay": self.task.weight_decay,
            "world_size": self.world_size,
            **({"custom_noise": noise.custom} if noise else {}),
        }


def resolve(program: Program, flags: Flags, world_size: int = 1) -> Config:
    """The run that the flags ask for. Raises: UsageError."""
    if flags.dataset_name not in program.datasets:
        raise UsageError(
            f"--dataset_name={flags.dataset_name}: {program.name} reads {', '.join(program.datasets)}"
            + ("; for Clothing1M there is train_clothing1m.py" if flags.dataset_name == "clothing1m" else "")
        )
    _check_numbers(flags, world_size)
    task = TASKS[flags.dataset_name]
    sigma = task.sigma(flags.noise_mode) if flags.sigma is None else flags.sigma
    name = model_name(sigma, flags.mo, flags.lc_n_epoch, flags.n_epochs)
    check_network(flags.network, "weights" not in program.without)
    check_normalisation(flags.dataset_name, flags.norm)
    augments = flags.augmentation == "crop_flip" or (flags.augmentation == "auto" and flags.dataset_name != "digits")
    if flags.cuda_graphs and not flags.compile:
        raise UsageError("--cuda_graphs works through torch.compile: give --compile too")
    if flags.capture_steps and (flags.cuda_graphs or world_size > 1):
        other = "--cuda_graphs" if flags.cuda_graphs else f"{world_size} processes"
        raise UsageError(f"--capture_steps captures the steps of one process by itself: it does not go with {other}")
    in_files = task.resize > 0  # photographs of all sizes
    if flags.loader == "device" and in_files:
        raise UsageError(f"--loader=device: {flags.dataset_name} is read file by file, use --loader=dataloader")
    if flags.capture_steps and (flags.loader == "dataloader" or in_files):
        which = (
            f"{flags.dataset_name} is read file by file" if in_files else "--loader=dataloader does not put them there"
        )
        raise UsageError(f"--capture_steps: the images must lie on the device, and {which}; leave one of the two out")
    if flags.image_size != 32 and flags.dataset_name != "digits":
        raise UsageError(f"--image_size={flags.image_size}: only the digits come in other sizes than 32")
    if flags.resume and flags.run_dir:
        raise UsageError(f"--resume={flags.resume} names the run's folder already: leave out --run_dir")
    size = task.size if task.size else flags.image_size
    config = Config(program, flags, task, name, sigma, augments, size, world_size)
    if flags.make_new_custom_noise and not flags.custom_noise and flags.dataset_name != "digits":
        raise UsageError("--make_new_custom_noise makes a custom noise file, so it goes with --custom_noise")
    if config.noise:
        check_request(config.noise)
    return config


def _check_numbers(flags: Flags, world_size: int) -> None:
    least = {
        "batch_size": max(1, world_size),
        "n_epochs": 1,
        "limit_train_examples": 0,
        "workers": 0,
        "image_size": 8,
        "dependent_epochs": 1,
    }
    for name, bound in least.items():
        if getattr(flags, name) < bound:
            raise UsageError(f"--{name}={getattr(flags, name)}: must be at least {bound}")
    if flags.image_size > LARGEST_IMAGE:
        raise UsageError(f"--image_size={flags.image_size}: at most {LARGEST_IMAGE}; the digits have 8")
    check_seed(flags.seed)
    if not 0 < flags.lr < float("inf"):
        raise UsageError(f"--lr={flags.lr}: a learning rate is a finite number above 0")
    if not 0 <= flags.ema_decay <= 1:
        raise UsageError(f"--ema_decay={flags.ema_decay}: must be within [0, 1]")
    if not 0 <= flags.p <= 1:
        raise UsageError(f"--p={flags.p}: a rate is within [0, 1]")
    if not flags.save_minutes >= 0:
        raise UsageError(f"--save_minutes={flags.save_minutes}: must be at least 0")
    if flags.images_per_class < 1 and flags.images_per_class != -1:
        raise UsageError(f"--images_per_class={flags.images_per_class}: a number from 1 on, or -1 for all")


def without_effect(config: Config) -> dict[str, str]:
    """Flags that were given and change nothing in this run, each with what it goes with."""
    noise, flags = config.noise, config.flags
    idle = {
        "--mo": () if config.mo else ("ema_decay",),
        "--lc_n_epoch": () if config.corrects(flags.n_epochs) else ("lc_eval_transform",),
        "custom noise": () if noise and noise.custom else ("custom_rng", "asym_rules", "dependent_epochs"),
    }
    named = [(name, what) for what, names in idle.items() for name in names]
    return {name: what for name, what in named if getattr(flags, name) != getattr(Flags, name)}


def noise_marks(flags: Flags) -> tuple[str, ...]:
    """What of a custom noise file's making, beside its rate and seed, is not the default: it belongs to its name."""
    named = {"openset": ["image_size"], "dependent": ["image_size", "network", "dependent_epochs"]}
    words = {"image_size": "size-{}", "network": "{}", "dependent_epochs": "epochs-{}"}
    values = {name: getattr(flags, name) for name in named.get(flags.noise_mode, ())}
    return tuple(words[name].format(value) for name, value in values.items() if value != getattr(Flags, name))
